"""What a canary knows a caller by. Pure."""

from collections.abc import Iterable

from strangler_proxy.wire.headers import Header, fields
from strangler_proxy.wire.request import RequestHead


def caller(head: RequestHead, sticky: str, peer: str, believed: Iterable[Header]) -> bytes:
    """What a canary goes by: the value of a header or cookie, else the client's address.

    `sticky`: `client`, `header:<name>` or `cookie:<name>`; `believed`: what a trusted peer says of
    earlier hops.
    """
    kind, _, name = sticky.partition(":")
    value = None
    if kind == "header":
        value = head.value(name.lower().encode())
    elif kind == "cookie":
        value = _cookie(head, name.encode())
    return value or _address(peer, believed)


def _address(peer: str, believed: Iterable[Header]) -> bytes:
    for name, value in believed:
        if name.lower() == b"x-forwarded-for":
            return value.partition(b",")[0].strip()
    return peer.encode()


def _cookie(head: RequestHead, name: bytes) -> bytes | None:
    for field, value in fields(head.lines):
        if field.lower() == b"cookie":
            for pair in value.split(b";"):
                key, _, held = pair.strip().partition(b"=")
                if key == name:
                    return held
    return None
