"""Read requests from a client's bytes: llhttp reads, this decides what a request may do.

What is malformed ends the connection, because nobody can say where the next request would begin.
It becomes a fault that is answered after the requests before it; nothing is written here.
"""

from collections import deque
from typing import TYPE_CHECKING

import httptools

from strangler_proxy.wire import request
from strangler_proxy.wire.exchange import Exchange
from strangler_proxy.wire.faults import Fault, bad_request
from strangler_proxy.wire.headers import (
    HOST,
    LENGTH,
    Header,
    Special,
    classify,
    fields,
    may_be_trailer,
)
from strangler_proxy.wire.request import CHUNKED, COUNTED
from strangler_proxy.wire.stage import OVER

if TYPE_CHECKING:
    from strangler_proxy.wire.plane import DataPlane

MAX_PIPELINED = 256
LONG_BODY_BYTES = 65_536


class _Deaf:
    """Stands for the parser once nothing more is to be read; what still comes is not kept."""

    def feed_data(self, data: bytes) -> None:
        """Let it go."""


class RequestReader:
    """The reading half of a client's connection: bytes in, exchanges and perhaps a fault out."""

    __slots__ = (
        "_after_upgrade", "_answering", "_fault", "_head_bytes", "_left", "_lines", "_parser",
        "_pipeline", "_receiving", "_special", "_stand_in", "_target", "plane",
    )  # fmt: skip

    def __init__(self, plane: "DataPlane") -> None:
        self.plane = plane
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._lines: list[bytes] = []
        self._special: list[Special] = []
        self._head_bytes = 0
        """Bytes read of a head, or of what frames a body, since it last got on."""
        self._receiving: Exchange | None = None
        """The request whose body is being read."""
        self._left = 0
        """Bytes missing of a long counted body, which the parser does not see."""
        self._pipeline: deque[Exchange] = deque()
        """Requests that came before earlier ones were answered."""
        self._answering: Exchange | None = None
        self._fault: Fault | None = None
        """What ends the connection, once the requests before it are answered."""
        self._after_upgrade: bytes | None = None
        """What came after a request for an upgrade, until that is answered."""
        self._stand_in = False

    def _read(self, data: bytes) -> None:
        """Read a piece; what it holds is then in the pipeline, in the exchanges, or a fault."""
        if self._after_upgrade is not None:  # read before reading was paused
            self._after_upgrade += data
            return
        receiving, before = self._receiving, 0
        if receiving is None:
            self._head_bytes += len(data)
        elif self._left:
            self._pass_body(receiving, data)
            return
        else:
            before = receiving.body_bytes
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as switch:
            self._stopped_at_upgrade(data[switch.args[0] :])
        except httptools.HttpParserError as fault:
            self._malformed(fault)
        if self._receiving is None:
            if self._head_bytes > self.plane.limits.header_bytes:
                self._refuse(self._oversized_head())
        elif self._receiving is receiving:
            self._bound_framing(len(data), body=receiving.body_bytes - before)
        elif self._receiving.head.body == COUNTED:
            left = self._receiving.head.length - self._receiving.body_bytes
            self._left = left if left > LONG_BODY_BYTES else 0

    def _pass_body(self, exchange: Exchange, data: bytes) -> None:
        """Keep a piece of a long counted body as it is; the parser would only copy it."""
        left = self._left
        self._left = max(0, left - len(data))
        exchange.take(data if self._left else data[:left])
        if not self._left:
            self._parser = httptools.HttpRequestParser(self)
            self.on_message_complete()
            if len(data) > left and exchange.keep_alive:  # else nothing is read behind it
                self._read(data[left:])

    def on_url(self, target: bytes) -> None:
        """Collect the request target."""
        self._target = self._target + target if self._target else target

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header line, or a trailer."""
        kind = classify(name)
        if kind:
            self._special.append((kind, name, value))
            if kind != HOST and kind != LENGTH:
                return
        self._lines += (name, b": ", value, b"\r\n")

    def on_headers_complete(self) -> None:
        """A request's head is whole: understand it or refuse it."""
        parser, target = self._parser, self._target
        lines, special = self._lines, self._special
        self._target, self._lines, self._special = b"", [], []
        if self._fault is not None or self._stand_in:
            return
        plane = self.plane
        if (
            self._head_bytes > plane.unmeasured_bytes
            or len(lines) + 4 * len(special) > plane.most_pieces
            or self._pipeline
            or self._answering is not None  # then this head was not counted by itself
        ) and self._is_oversized(target, lines, special):
            return
        head = request.read_head(
            parser.get_method(), target, parser.get_http_version(), lines, special
        )
        if isinstance(head, Fault):
            self._refuse(head)
            return
        head.keep_alive = parser.should_keep_alive()
        if head.body:
            if head.length > plane.limits.body_bytes:
                self._refuse(self._oversized_body())
                return
            if parser.should_upgrade():
                head.unread = head.body == CHUNKED or head.length > 0
        self._receiving = Exchange(self, head)  # type: ignore[arg-type]  # only clients read
        self._pipeline.append(self._receiving)

    def _is_oversized(self, target: bytes, lines: list[bytes], special: list[Special]) -> bool:
        limits = self.plane.limits
        size = len(target) + sum(map(len, lines)) + sum(len(n) + len(v) for _, n, v in special)
        number = len(lines) // 4 + sum(kind not in (HOST, LENGTH) for kind, _, _ in special)
        if len(target) > limits.target_bytes:
            self._refuse(Fault(414, f"the target is longer than {limits.target_bytes} bytes"))
        elif size > limits.header_bytes or number > limits.headers:
            self._refuse(Fault(431, "the request's header fields are too many or too large"))
        elif len(self._pipeline) >= MAX_PIPELINED:
            self._refuse(Fault(429, f"more than {MAX_PIPELINED} requests were sent ahead"))
        return self._fault is not None

    def _oversized_body(self) -> Fault:
        return Fault(413, f"the body is longer than {self.plane.limits.body_bytes} bytes")

    def on_body(self, body: bytes) -> None:
        """Keep a piece of a body for its request."""
        exchange = self._receiving
        if exchange is None or exchange.stage == OVER:
            return
        exchange.take(body)
        if exchange.body_bytes > self.plane.limits.body_bytes:
            self._refuse(self._oversized_body())

    def on_message_complete(self) -> None:
        """A request is whole."""
        exchange = self._receiving
        if exchange is not None and exchange.head.unread:
            return
        self._receiving = None
        self._head_bytes = 0
        trailers: list[Header] = []
        if self._lines or self._special:
            trailers = [header for header in fields(self._lines) if may_be_trailer(header[0])]
            self._lines, self._special = [], []
        if exchange is not None and self._fault is None:
            exchange.complete(trailers)

    def _malformed(self, fault: httptools.HttpParserError) -> None:
        if self._fault is not None or self._after_upgrade is not None:
            return
        last = self._pipeline[-1] if self._pipeline else self._answering
        if last is not None and last.received and not last.keep_alive:
            return  # the connection ends after this answer anyway
        if isinstance(fault, httptools.HttpParserInvalidMethodError):
            self._refuse(Fault(501, "the request's method is not known"))
        else:
            self._refuse(bad_request(f"the request is malformed: {fault}"))

    def _bound_framing(self, size: int, *, body: int) -> None:
        """Chunk extensions and trailers are no body, and count as a head does."""
        self._head_bytes = 0 if body else self._head_bytes + size
        if self._head_bytes > self.plane.limits.header_bytes:
            self._refuse(Fault(431, "the body's trailer fields or chunk extensions are too large"))

    def _oversized_head(self) -> Fault:
        limits = self.plane.limits
        if len(self._target) > limits.target_bytes:
            return Fault(414, f"the request target is longer than {limits.target_bytes} bytes")
        return Fault(431, f"the request's head is longer than {limits.header_bytes} bytes")

    def _refuse(self, fault: Fault) -> None:
        """Read no further; the fault is answered after the requests that came before it."""
        if self._fault is None:
            self._fault = fault
            self._parser = _Deaf()  # type: ignore[assignment]  # it is only fed from now on
            if self._pipeline and self._pipeline[-1] is self._receiving:
                self._pipeline.pop()  # it has not been started, and never reaches an upstream
            self._receiving = None

    def _stopped_at_upgrade(self, rest: bytes) -> None:
        """The parser reads no further than a request that asks for an upgrade.

        What follows is that request's body, if it has one (curl and Java ask for h2c with POSTs as
        well), or else waits until the upstream has answered.
        """
        exchange = self._receiving
        if exchange is None:
            self._after_upgrade = rest
            return
        head = exchange.head
        self._parser = httptools.HttpRequestParser(self)
        # A head of our own puts the new parser before the body; nothing is to be done about it.
        self._stand_in = True
        self._parser.feed_data(
            b"POST / HTTP/1.1\r\n%b\r\n\r\n"
            % (
                b"Transfer-Encoding: chunked"
                if head.body == CHUNKED
                else b"Content-Length: %d" % head.length
            )
        )
        self._stand_in = head.unread = False
        try:
            self._parser.feed_data(rest)
        except httptools.HttpParserUpgrade as switch:
            self._stopped_at_upgrade(rest[switch.args[0] :])
        except httptools.HttpParserError as fault:
            self._malformed(fault)
