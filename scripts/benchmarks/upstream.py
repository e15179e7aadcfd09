"""What every peer forwards to: nginx with fixed answers, and a sink that counts request bodies."""

import grp
import json
import os
import pwd
import sys
import zlib
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from scripts.benchmarks.processes import await_ready, free_port, listens, pinned
from scripts.benchmarks.wrk import Workload

SMALL = Workload("small", "GET, answer of 1 KB", "/posts/42", connections=32)
LARGE_ANSWER = Workload("large_answer", "GET, answer of 1 MB", "/images/large.jpg", connections=8)
LARGE_REQUEST = Workload(
    "large_request", "POST, request of 1 MB", "/upload", connections=8, body_bytes=1 << 20
)
WORKLOADS = (SMALL, LARGE_ANSWER, LARGE_REQUEST)

SEEN_PATH = "/posts/1"  # answers with what the upstream saw of the request
_START_S = 10.0

SMALL_BODY = json.dumps(
    {
        "id": 42,
        "title": "The fig that swallowed a tree",
        "body": "A seed lands high in the branches. " * 24,
        "author": {"id": 7, "name": "Ada"},
        "image_url": "/images/fig.jpg",
        "created_at": "2024-05-01T10:00:00Z",
        "updated_at": "2024-05-02T08:30:00Z",
    }
).encode()
LARGE_BODY = bytes(range(256)) * 4096

_NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
user {user} {group};
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_timeout 600s;
  keepalive_requests 1000000000;
  client_body_temp_path {folder}/t1;
  proxy_temp_path {folder}/t2;
  fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4;
  scgi_temp_path {folder}/t5;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    default_type application/json;
    location /posts {{
      add_header Cache-Control "private, max-age=0";
      add_header ETag '"6f1ed002ab5595859014ebf0951522d9"';
      add_header Vary Authorization;
      add_header X-Content-Type-Options nosniff;
      return 200 '{small}';
    }}
    location = {seen} {{
      return 200 '{{"x_request_id": "$http_x_request_id", "host": "$http_host",
        "x_forwarded_for": "$http_x_forwarded_for", "nth": $connection_requests}}';
    }}
    location /images {{ types {{ image/jpeg jpg; }} root {folder}; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Upstreams:
    """The ports of the two upstreams, on the loopback interface."""

    pages: int
    sink: int


@contextmanager
def upstreams(nginx: str, cores: Collection[int], folder: Path) -> Iterator[Upstreams]:
    """Run both upstreams on the given cores; raises NotReadyError."""
    home = folder / "upstream"
    (home / "images").mkdir(parents=True)
    (home / "images" / "large.jpg").write_bytes(LARGE_BODY)
    ports = Upstreams(free_port(), free_port())
    config = home / "nginx.conf"
    config.write_text(
        _NGINX.format(
            folder=home,
            user=pwd.getpwuid(os.getuid()).pw_name,
            group=grp.getgrgid(os.getgid()).gr_name,
            port=ports.pages,
            small=SMALL_BODY.decode(),
            seen=SEEN_PATH,
        )
    )
    sink = [sys.executable, "-m", "scripts.benchmarks.sink", str(ports.sink)]
    with ExitStack() as running:
        for name, argv, port in (
            ("nginx", [nginx, "-e", "stderr", "-c", str(config)], ports.pages),
            ("sink", sink, ports.sink),
        ):
            log = home / f"{name}.log"
            output = running.enter_context(log.open("wb"))
            process = running.enter_context(pinned(argv, cores, stdout=output))
            await_ready(process, log, partial(listens, port), _START_S)
        yield ports


def checksum(body: bytes) -> int:
    """The checksum that the sink reports of a body when it is asked to."""
    return zlib.crc32(body)
