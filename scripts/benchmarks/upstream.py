"""What every peer forwards to: nginx with fixed answers, and a sink that counts request bodies."""

import grp
import json
import os
import pwd
import sys
import zlib
from collections.abc import Collection, Iterator, Mapping
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
USER_BODY = json.dumps({"id": 7, "name": "Ada", "about": "Grows figs, and prunes. " * 40}).encode()
COMMENTS_BODY = json.dumps(
    {"comments": [{"id": n, "author": "Bo", "text": "Figs fruit. " * 8} for n in range(12)]}
).encode()

# What `bench gateway` puts conditions on; each answers as /posts does, and names its server.
CONDITIONED = ("canary", "signed", "issued", "limited", "tight")

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
    location /posts {{ {headers} {answer} }}
    location = {seen} {{
      return 200 '{{"x_request_id": "$http_x_request_id", "host": "$http_host",
        "x_forwarded_for": "$http_x_forwarded_for", "nth": $connection_requests}}';
    }}
    location /users {{ return 200 '{user_body}'; }}
    location /comments {{ return 200 '{comments}'; }}
    location ~ "^/({conditioned})/1$" {{
      return 200 '{{"subject": "$http_x_verified_subject"}}';
    }}
    location ~ "^/({conditioned})/" {{ {headers} add_header X-Served-By control; {answer} }}
    location /images {{ types {{ image/jpeg jpg; }} root {folder}; }}
    location /files {{ root {folder}; }}
  }}
  server {{
    listen 127.0.0.1:{candidate} backlog=4096;
    default_type application/json;
    location / {{ {headers} add_header X-Served-By candidate; {answer} }}
  }}
}}
"""
_HEADERS = """
      add_header Cache-Control "private, max-age=0";
      add_header ETag '"6f1ed002ab5595859014ebf0951522d9"';
      add_header Vary Authorization;
      add_header X-Content-Type-Options nosniff;"""


@dataclass(frozen=True, slots=True)
class Upstreams:
    """The ports of the upstreams, on the loopback interface; nginx has the first two."""

    pages: int
    candidate: int
    sink: int


@contextmanager
def upstreams(
    nginx: str, cores: Collection[int], folder: Path, files: Mapping[str, str] | None = None
) -> Iterator[Upstreams]:
    """Run them on the given cores, with some files at /files; raises NotReadyError."""
    home = folder / "upstream"
    (home / "images").mkdir(parents=True)
    (home / "images" / "large.jpg").write_bytes(LARGE_BODY)
    (home / "files").mkdir()
    for name, text in (files or {}).items():
        (home / "files" / name).write_text(text)
    ports = Upstreams(free_port(), free_port(), free_port())
    config = home / "nginx.conf"
    config.write_text(
        _NGINX.format(
            folder=home,
            user=pwd.getpwuid(os.getuid()).pw_name,
            group=grp.getgrgid(os.getgid()).gr_name,
            port=ports.pages,
            candidate=ports.candidate,
            headers=_HEADERS,
            answer=f"return 200 '{SMALL_BODY.decode()}';",
            user_body=USER_BODY.decode(),
            comments=COMMENTS_BODY.decode(),
            conditioned="|".join(CONDITIONED),
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
