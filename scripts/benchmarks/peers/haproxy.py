"""HAProxy, as Debian packages it."""

from scripts.benchmarks.peers.peer import (
    APT,
    IDLE_S,
    Launch,
    Peer,
    Site,
    on_path,
    printed_version,
)

_CONFIG = """
global
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout connect 5s
  timeout client {idle_s}s
  timeout server {idle_s}s
  timeout http-keep-alive {idle_s}s
  http-reuse always
frontend blog
  bind 127.0.0.1:{listen} backlog 4096
  option forwardfor
  http-request set-header X-Request-ID %[uuid()]
  use_backend sink if {{ path_beg /upload }}
  use_backend pages if {{ path_beg /posts }}
  use_backend pages if {{ path_beg /images }}
  default_backend pages
backend pages
  server pages 127.0.0.1:{pages}
backend sink
  server sink 127.0.0.1:{sink}
"""


def _launch(executable: str, site: Site) -> Launch:
    config = site.folder / "haproxy.cfg"
    config.write_text(
        _CONFIG.format(listen=site.listen, pages=site.pages, sink=site.sink, idle_s=IDLE_S)
    )
    return Launch([executable, "-db", "-q", "-f", str(config)])


HAPROXY = Peer(
    name="haproxy",
    title="HAProxy",
    install=f"{APT} haproxy",
    find=on_path("haproxy"),
    version=printed_version("-v"),
    launch=_launch,
)
