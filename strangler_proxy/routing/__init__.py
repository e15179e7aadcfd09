"""Who answers a request: rules as Werkzeug matches them, the choice between two sides. Pure."""

from strangler_proxy.routing.decide import Decision, bucket, decide, forced, instead
from strangler_proxy.routing.table import DEFAULT, Entry, RouteTable

__all__ = [
    "DEFAULT",
    "Decision",
    "Entry",
    "RouteTable",
    "bucket",
    "decide",
    "forced",
    "instead",
]
