"""Upstreams that die, and the problem that a client is told of then."""

from __future__ import annotations

from tests.wire_tools.client import Answer
from tests.wire_tools.proxy import until
from tests.wire_tools.upstream import Peer


def problem(answer: Answer, status: int) -> str:
    """The detail of a problem that an upstream caused."""
    assert answer.status == status
    assert answer.header("Content-Type") == b"application/problem+json"
    told = answer.json()
    assert told["status"] == status
    assert told["request_id"].encode() == answer.header("X-Request-ID")
    return str(told["detail"])


def dying(said: bytes, how: str = "end", then: bytes = b"") -> object:
    """A script: read the request, say this, and die."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(said)
        if how == "reset":
            # The reset must not overtake what was said.
            until(lambda: peer.number >= 0, "")
            peer.reset()

    return script
