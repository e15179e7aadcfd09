"""Choose between control and candidate for one caller. Opens no sockets and reads no clock."""

from dataclasses import dataclass
from hashlib import blake2b

from strangler_proxy.config import Route, Serve

BUCKETS = 10_000


@dataclass(frozen=True, slots=True)
class Decision:
    """The upstream whose answer the client gets, and why."""

    upstream: str
    reason: str


def decide(route: Route, serve: Serve, caller: bytes) -> Decision:
    """Choose who answers this caller.

    The same caller gets the same side in every worker and on every machine, and raising the
    percent moves callers in one direction only: whoever the candidate serves at 5 percent it
    serves at 10 percent as well.
    """
    percent = serve.candidate_percent
    if route.candidate is None or percent == 0:
        return Decision(route.control, "control")
    if percent == 100:
        return Decision(route.candidate, "candidate")
    if bucket(caller, route.candidate) < percent * BUCKETS // 100:
        return Decision(route.candidate, "canary")
    return Decision(route.control, "canary-control")


def forced(route: Route, side: str) -> Decision | None:
    """The side that a request with the secret asks for; None when there is no such side."""
    upstream = {"control": route.control, "candidate": route.candidate}.get(side)
    return Decision(upstream, "forced") if upstream else None


def instead(route: Route | None, refused: Decision) -> Decision | None:
    """Who answers while the breaker of the chosen upstream is open; None: nobody.

    Only the candidate's traffic may fall back, and only where the route allows it: once writes
    have moved, what the control would say is no longer true.
    """
    if route is None or route.when_open != "control" or refused.upstream != route.candidate:
        return None
    return Decision(route.control, "fallback")


def bucket(caller: bytes, candidate: str) -> int:
    """Put a caller into one of 10,000 buckets.

    Salted with the candidate's name: a caller meets one candidate on all of its routes or on
    none, and is not always among the first to try every new service.
    """
    digest = blake2b(caller, digest_size=8, key=candidate.encode()[:64]).digest()
    return int.from_bytes(digest, "big") % BUCKETS
