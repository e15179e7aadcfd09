"""nginx, as Debian packages it."""

import grp
import os
import pwd

from scripts.benchmarks.peers.peer import (
    APT,
    IDLE_S,
    Launch,
    Peer,
    Site,
    on_path,
    printed_version,
)

# Not the defaults: a connection is closed after 1,000 requests, which a load generator would count
# as an error; bodies over a limit are refused, and are written to disk before they are sent on.
_CONFIG = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
user {user} {group};
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  keepalive_timeout {idle_s}s;
  keepalive_requests 1000000000;
  client_max_body_size 0;
  proxy_request_buffering off;
  proxy_max_temp_file_size 0;
  client_body_temp_path {folder}/t1;
  proxy_temp_path {folder}/t2;
  fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4;
  scgi_temp_path {folder}/t5;
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_set_header X-Request-ID $request_id;
  upstream pages {{
    server 127.0.0.1:{pages};
    keepalive 128;
    keepalive_requests 1000000000;
  }}
  upstream sink {{
    server 127.0.0.1:{sink};
    keepalive 128;
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{listen} backlog=4096;
    location /posts {{ proxy_pass http://pages; }}
    location /images {{ proxy_pass http://pages; }}
    location /upload {{ proxy_pass http://sink; }}
  }}
}}
"""


def _launch(executable: str, site: Site) -> Launch:
    config = site.folder / "nginx.conf"
    config.write_text(
        _CONFIG.format(
            folder=site.folder,
            listen=site.listen,
            pages=site.pages,
            sink=site.sink,
            idle_s=IDLE_S,
            user=pwd.getpwuid(os.getuid()).pw_name,
            group=grp.getgrgid(os.getgid()).gr_name,
        )
    )
    return Launch([executable, "-e", "stderr", "-c", str(config)])


NGINX = Peer(
    name="nginx",
    title="nginx",
    install=f"{APT} nginx-light",
    find=on_path("nginx"),
    version=printed_version("-v"),
    launch=_launch,
)
