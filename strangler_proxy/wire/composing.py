"""One composed answer being put together: asks for parts as they become ready, then answers.

What to ask and what comes of it is decided in gateway/composition.py; here it is done.
"""

import asyncio
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from strangler_proxy.config import Compose
from strangler_proxy.gateway.composition import Ask, Composed, Composition
from strangler_proxy.routing import Entry
from strangler_proxy.wire.exchange import Exchange
from strangler_proxy.wire.faults import Fault
from strangler_proxy.wire.headers import PLAIN, classify, fields
from strangler_proxy.wire.part import Part
from strangler_proxy.wire.request import COUNTED, RequestHead
from strangler_proxy.wire.stage import OVER

if TYPE_CHECKING:
    from strangler_proxy.wire.plane import DataPlane


class Composing:
    """A composition under way for one exchange."""

    def __init__(
        self, plane: "DataPlane", exchange: Exchange, entry: Entry, compose: Compose
    ) -> None:
        head = exchange.head
        self._plane = plane
        self._exchange = exchange
        self._route = entry.name
        self._compose = compose
        self._composition = Composition(compose, plane.arguments(head.method, head.path))
        self._parts: dict[str, Part] = {}
        self._passed = _passed(head, compose)
        self._asking = False

    def start(self) -> None:
        """Ask for what needs nothing else."""
        self._exchange.client.wait_forever()  # each part has a bound of its own
        self._ask_ready()
        # Not at once, though nothing may be under way: of many requests that were sent ahead one
        # would be answered inside the other.
        asyncio.get_running_loop().call_soon(self._conclude)

    def drop(self) -> None:
        """The client has left, or the outcome is known: what is under way is not wanted."""
        parts, self._parts = self._parts, {}
        for part in parts.values():
            part.drop()

    def _advance(self) -> None:
        if not self._asking:  # else a part has ended at once, while others are being asked for
            self._ask_ready()
            self._conclude()

    def _ask_ready(self) -> None:
        self._asking = True
        composition = self._composition
        while asks := composition.ready():
            for ask in asks:
                if composition.outcome() is None:
                    self._ask(ask)
        self._asking = False

    def _conclude(self) -> None:
        composed = self._composition.outcome()
        if composed is not None and self._exchange.stage != OVER:
            self.drop()
            self._answer(composed)

    def _ask(self, ask: Ask) -> None:
        head = self._exchange.head
        part = self._parts[ask.part] = Part(
            self._exchange.client,
            RequestHead(
                method=b"GET",
                target=ask.target,
                lines=[*self._passed],
                http_1_0=True,
                idempotent=True,
                path=ask.target.partition(b"?")[0],
                host=head.host,
                request_id=head.request_id,
                forwarded=head.forwarded,
                side=head.side,
            ),
            timeout_s=ask.timeout_s,
            most_bytes=self._compose.part_bytes,
            answered=partial(self._answered, ask.part),
            failed=partial(self._failed, ask.part),
        )
        part.start()

    def _answered(self, name: str, status: int, lines: bytes, body: bytes) -> None:
        del self._parts[name]
        self._composition.answered(name, status, lines, body)
        self._advance()

    def _failed(self, name: str, fault: Fault) -> None:
        del self._parts[name]
        lines = fault.lines
        if fault.retry_after_s is not None:
            lines += b"Retry-After: %d\r\n" % fault.retry_after_s
        self._composition.failed(name, fault.status, fault.detail, lines)
        self._advance()

    def _answer(self, composed: Composed) -> None:
        exchange = self._exchange
        for part in composed.fallbacks:
            self._plane.note("part-fallback", self._route, part)
        if composed.detail is not None:
            by_parts = composed.status >= 500
            exchange.fail(
                Fault(
                    composed.status,
                    composed.detail,
                    by_upstream=by_parts,
                    by_rule=not by_parts,
                    lines=composed.headers,
                )
            )
            return
        passing = b" %d %b\r\n%bContent-Length: %d\r\nX-Request-ID: %b\r\n" % (
            composed.status,
            _phrase(composed.status),
            composed.headers,
            len(composed.body),
            exchange.head.request_id,
        )
        out = exchange.answer(composed.status, passing, COUNTED)
        if exchange.head.method != b"HEAD":
            out.append(composed.body)
        exchange.finish(out, reusable=False)


def _passed(head: RequestHead, compose: Compose) -> list[bytes]:
    """The header lines, as pieces, that go with every part."""
    names = {name.lower().encode() for name in compose.pass_headers}
    lines = [b"Host", b": ", head.host, b"\r\n"]
    if b"accept" not in names:
        lines += (b"Accept", b": ", b"application/json", b"\r\n")
    for name, value in fields(head.lines):
        # What frames or directs the client's own request says nothing of a part.
        if name.lower() in names and classify(name) == PLAIN:
            lines += (name, b": ", value, b"\r\n")
    return lines


def _phrase(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b""
