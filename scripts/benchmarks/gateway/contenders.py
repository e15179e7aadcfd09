"""Who is measured, and in what: a peer is started once for all of its duties."""

from dataclasses import dataclass, replace
from functools import partial

from scripts.benchmarks.gateway.duties import COMPOSED, DUTIES, PLAIN, Duty
from scripts.benchmarks.gateway.envoy import ENVOY_GATEWAY
from scripts.benchmarks.gateway.strangler import ALONE, GATEWAY
from scripts.benchmarks.peers import Peer
from scripts.benchmarks.peers.fastapi import FASTAPI, launch_application


@dataclass(frozen=True, slots=True)
class Contender:
    """A peer and the duties that it is measured in."""

    peer: Peer
    duties: tuple[Duty, ...]
    forwards: bool = True  # it answers as all peers of `bench proxy` must, besides its duties


_COMPOSER = replace(
    FASTAPI,
    title="FastAPI + httpx + gather",
    launch=partial(launch_application, "fastapi_composer"),
    note="",
)
CONTENDERS = (
    Contender(ALONE, (PLAIN,)),
    Contender(GATEWAY, DUTIES),
    Contender(ENVOY_GATEWAY, tuple(duty for duty in DUTIES if duty is not COMPOSED)),
    Contender(_COMPOSER, (COMPOSED,), forwards=False),
)
