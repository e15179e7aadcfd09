"""A running proxy as other processes see it: what it serves and counts, how to flip it."""

from strangler_proxy.running.client import (
    ProxyUnreachable,
    Refused,
    RunningProxy,
    Status,
    WorkerStatus,
)
from strangler_proxy.running.counts import Histogram, SideCounts
from strangler_proxy.running.flip import Flipped, flip, flip_upstreams, lead_default

__all__ = [
    "Flipped",
    "Histogram",
    "ProxyUnreachable",
    "Refused",
    "RunningProxy",
    "SideCounts",
    "Status",
    "WorkerStatus",
    "flip",
    "flip_upstreams",
    "lead_default",
]
