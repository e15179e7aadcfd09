"""The peers, one a file, in the order in which the tables show them."""

from scripts.benchmarks.peers.caddy import CADDY
from scripts.benchmarks.peers.envoy import ENVOY
from scripts.benchmarks.peers.fastapi import FASTAPI
from scripts.benchmarks.peers.haproxy import HAPROXY
from scripts.benchmarks.peers.nginx import NGINX
from scripts.benchmarks.peers.peer import Launch, Peer, Site
from scripts.benchmarks.peers.strangler import STRANGLER
from scripts.benchmarks.peers.traefik import TRAEFIK

PEERS = (STRANGLER, NGINX, HAPROXY, ENVOY, TRAEFIK, CADDY, FASTAPI)

__all__ = ["PEERS", "Launch", "Peer", "Site"]
