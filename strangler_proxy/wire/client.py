"""The client side: reads requests, lets them be answered one after the other, writes the answers.

llhttp reads; this decides what a request may do. What is malformed is answered by the proxy
itself and ends the connection, because nobody can say where the next request would begin.
"""

import asyncio
import os
import socket
import struct
from collections import deque
from typing import TYPE_CHECKING, cast

import httptools

from strangler_proxy.wire import request
from strangler_proxy.wire.exchange import OVER, Exchange
from strangler_proxy.wire.faults import REQUEST_TIMEOUT, Fault, bad_request, problem
from strangler_proxy.wire.headers import (
    HOST,
    LENGTH,
    Header,
    Special,
    classify,
    fields,
    may_be_trailer,
)
from strangler_proxy.wire.identity import extended_lines, forwarded_lines, is_trusted
from strangler_proxy.wire.request import CHUNKED, RequestHead

if TYPE_CHECKING:
    from strangler_proxy.wire.plane import DataPlane
    from strangler_proxy.wire.tunnel import Tunnel

NEVER = float("inf")
MAX_PIPELINED = 256
LINGER_S = 2.0
LINGER_BYTES = 16 * 2**20
_RESET = struct.pack("ii", 1, 0)


class ClientConnection(asyncio.Protocol):
    """One client's connection, from accept to close."""

    __slots__ = (
        "_after_upgrade", "_answering", "_closing", "_fault", "_head_bytes", "_host",
        "_identity", "_in_head", "_lines", "_lingered", "_parser", "_paused", "_peer",
        "_pipeline", "_receiving", "_special", "_stand_in", "_target", "_tls", "_trusted",
        "_tunnel", "_turning", "_unsent", "deadline", "plane", "transport", "write_blocked",
    )  # fmt: skip
    transport: asyncio.Transport

    def __init__(self, plane: "DataPlane", *, tls: bool) -> None:
        self.plane = plane
        self.deadline = NEVER
        self._tls = tls
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._lines: list[bytes] = []
        self._special: list[Special] = []
        self._head_bytes = 0
        self._in_head = False
        self._receiving: Exchange | None = None
        """The request whose body is being read."""
        self._pipeline: deque[Exchange] = deque()
        """Requests that came before earlier ones were answered."""
        self._answering: Exchange | None = None
        self._fault: Fault | None = None
        """What ends the connection, once the requests before it are answered."""
        self._after_upgrade: bytes | None = None
        self._tunnel: Tunnel | None = None
        self._turning = False
        self._closing = False
        self._lingered = 0
        self._unsent = 0
        self._stand_in = False
        self._paused = False
        self.write_blocked = False
        self._host: bytes | None = None
        self._identity = b""

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note who it is, and expect a request."""
        self.transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._peer: str = peer[0] if peer else "unknown"
        self._trusted = is_trusted(self._peer, self.plane.trusted)
        self.plane.connections.add(self)
        self.wait(self.plane.timeouts.header_s)

    def data_received(self, data: bytes) -> None:
        """Read what came, then act on it: a fault in a piece stops what stands before it there."""
        if self._tunnel is not None:
            self._tunnel.from_client(data)
            return
        if self._closing:
            self._linger(len(data))
            return
        if self._after_upgrade is not None:  # read before reading was paused
            self._after_upgrade += data
            return
        receiving, before = self._receiving, 0
        if receiving is None:
            self._head_bytes += len(data)
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
        self._turn()

    def eof_received(self) -> bool:
        """The client says no more; a request that is here whole is still answered."""
        if self._tunnel is not None:
            return self._tunnel.client_ended()
        if self._receiving is not None or self._answering is None:
            return False
        last = self._pipeline[-1] if self._pipeline else self._answering
        last.keep_alive = False
        return not self._tls

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._closing = True
        self.deadline = NEVER
        self.plane.connections.discard(self)
        if self._tunnel is not None:
            self._tunnel.client_lost()
        elif self._answering is not None:
            self._answering.abandon()
        self._answering = self._receiving = None
        self._pipeline.clear()

    def pause_writing(self) -> None:
        """The client reads more slowly than the answer comes."""
        self.write_blocked = True
        if self._tunnel is not None:
            self._tunnel.pause_upstream()
        elif self._answering is not None:
            self._answering.pause_answer()
            self.wait(self.plane.timeouts.body_idle_s)

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.write_blocked = False
        if self._tunnel is not None:
            self._tunnel.resume_upstream()
        elif self._answering is not None:
            self._answering.resume_answer()
            self.wait_for(self._answering)

    # --- httptools

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
        parser, target, self._target = self._parser, self._target, b""
        lines, self._lines = self._lines, []
        special, self._special = self._special, []
        if self._fault is not None or self._stand_in:
            return
        limits = self.plane.limits
        if self._head_bytes > limits.header_bytes or len(lines) > 4 * limits.headers:
            size = len(target) + sum(map(len, lines)) + sum(len(n) + len(v) for _, n, v in special)
            if size > limits.header_bytes or len(lines) > 4 * limits.headers:
                self._refuse(Fault(431, "the request's header fields are too many or too large"))
                return
        if len(target) > limits.target_bytes:
            self._refuse(Fault(414, f"the request target is longer than {limits.target_bytes}"))
            return
        head = request.read_head(
            parser.get_method(), target, parser.get_http_version(), lines, special
        )
        if isinstance(head, Fault):
            self._refuse(head)
        elif head.length > limits.body_bytes:
            self._refuse(Fault(413, f"the body is longer than {limits.body_bytes} bytes"))
        else:
            head.keep_alive = parser.should_keep_alive()
            if head.body and parser.should_upgrade():
                head.unread = head.body == CHUNKED or head.length > 0
            if len(self._pipeline) >= MAX_PIPELINED:
                self._refuse(Fault(429, f"more than {MAX_PIPELINED} requests were sent ahead"))
                return
            self._receiving = Exchange(self, head)
            self._pipeline.append(self._receiving)

    def on_body(self, body: bytes) -> None:
        """Keep a piece of a body for its request."""
        exchange = self._receiving
        if exchange is None or exchange.stage == OVER:
            return
        exchange.take(body)
        if exchange.body_bytes > self.plane.limits.body_bytes:
            self._refuse(
                Fault(413, f"the body is longer than {self.plane.limits.body_bytes} bytes")
            )

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

    # --- answering in order

    def _turn(self) -> None:
        """Go on as far as possible: send what is here, start the next request, or end."""
        if self._turning:  # an exchange ended at once; the loop below goes on
            return
        self._turning = True
        try:
            while not self._closing and self._tunnel is None:
                exchange = self._answering
                if exchange is not None:
                    self._advance(exchange)
                    break
                if not self._pipeline:
                    self._rest()
                    break
                exchange = self._answering = self._pipeline.popleft()
                self._in_head = False
                exchange.start()
                if self._answering is exchange:
                    break
        finally:
            self._turning = False
        if self._paused or self._pipeline or self._receiving or self._after_upgrade is not None:
            self.regulate()

    def _advance(self, exchange: Exchange) -> None:
        if self._fault is not None and not exchange.received:
            # The body turned out malformed: the upstream must not take it for whole.
            fault, self._fault = self._fault, None
            exchange.fail(fault)
        elif exchange.send():
            self.wait_for(exchange)

    def _rest(self) -> None:
        """No request is whole."""
        if self._fault is not None:
            self._answer_fault(self._fault, b"", head_only=False)
        elif self._after_upgrade is not None:
            self._read_after_upgrade()
        elif self._head_bytes or self._target:
            if not self._in_head:
                self._in_head = True
                self.wait(self.plane.timeouts.header_s)
        elif self.plane.draining:
            self._close_gently()

    def _read_after_upgrade(self) -> None:
        """The upstream stayed with HTTP: what came after the request is the next one."""
        data, self._after_upgrade = self._after_upgrade or b"", None
        self._parser = httptools.HttpRequestParser(self)
        if data:
            asyncio.get_running_loop().call_soon(self.data_received, data)

    def finished(self, exchange: Exchange) -> None:
        """The answer is written whole: the next request may be."""
        self._answering = None
        if not exchange.received or not exchange.keep_alive:
            self._close_gently()
            return
        plane = self.plane
        self.deadline = plane.now + plane.timeouts.keepalive_s
        waiting = self._pipeline or self._head_bytes or self._target or self._paused
        if waiting or plane.draining or self._fault is not None:
            self._turn()

    def fail(self, exchange: Exchange, fault: Fault) -> None:
        """Answer with the proxy's own words."""
        self._answering = None
        keep_alive = exchange.received and exchange.keep_alive and not self.plane.draining
        head_only = exchange.head.method == b"HEAD"
        if keep_alive and fault.by_upstream:
            request_id = exchange.head.request_id
            self.transport.write(problem(fault, request_id, head_only=head_only, close=False))
            self.wait(self.plane.timeouts.keepalive_s)
            self._turn()
        else:
            self._answer_fault(fault, exchange.head.request_id, head_only=head_only)

    def _answer_fault(self, fault: Fault, request_id: bytes, *, head_only: bool) -> None:
        request_id = request_id or self.plane.new_id()
        if not self.transport.is_closing():
            self.transport.write(problem(fault, request_id, head_only=head_only, close=True))
        self._close_gently()

    def write_answer(self, pieces: list[bytes]) -> None:
        """Write a piece of the answer."""
        if pieces and not self.transport.is_closing():
            self.transport.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def regulate(self) -> None:
        """Read from the client only what can be passed on or has a place to wait."""
        answering = self._answering
        full = bool(self._pipeline) or self._after_upgrade is not None
        if answering is not None and not answering.received:
            full = full or answering.blocked
        if full != self._paused and not self._closing and not self.transport.is_closing():
            self._paused = full
            if full:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()

    # --- time

    def wait(self, seconds: float) -> None:
        """Expect something to happen within this time."""
        self.deadline = self.plane.now + seconds

    def wait_forever(self) -> None:
        """Expect something that has a bound of its own."""
        self.deadline = NEVER

    def wait_for(self, exchange: Exchange) -> None:
        """Expect the next piece of this request, or of its answer."""
        if (exchange.received or exchange.blocked) and not self.write_blocked:
            self.deadline = self.plane.now + exchange.lane.timeout_s
        else:
            self.deadline = self.plane.now + self.plane.timeouts.body_idle_s

    def expire(self) -> None:
        """What was expected has not come."""
        self.deadline = NEVER
        exchange = self._answering
        if self._closing:
            self._stop_lingering()
        elif self._tunnel is not None or self.write_blocked:
            self.abort()
        elif exchange is None:
            if self._in_head:
                self._answer_fault(REQUEST_TIMEOUT, b"", head_only=False)
            else:
                self.transport.close()
        elif exchange.received or exchange.blocked:
            exchange.expire()
        else:
            exchange.fail(REQUEST_TIMEOUT)

    # --- closing

    def drain(self) -> None:
        """Close now if nothing is in flight, else after the answer; a tunnel has all the time."""
        if self._tunnel is not None:
            return
        if self._answering is None and not self._pipeline and not self._in_head:
            self._close_gently()

    def abort(self) -> None:
        """Break the connection, so that a cut answer is not taken for a whole one.

        By a reset: where no length is said, as towards HTTP/1.0, an orderly end makes it whole.
        """
        self._closing = True
        if not self.transport.is_closing():
            fd = self.transport.get_extra_info("socket").fileno()
            with socket.socket(fileno=os.dup(fd)) as same:
                same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    def _close_gently(self) -> None:
        """Say no more, but read on for a moment.

        Closing with unread input would reset the connection, and the client might lose the
        answer it was just sent (RFC 9112 §9.6).
        """
        if self._closing:
            return
        self._closing = True
        if self.transport.is_closing():
            return
        self.wait(LINGER_S)
        if self._tls or not self.transport.can_write_eof():
            self.transport.close()
            return
        self.transport.write_eof()
        if self._paused:
            self._paused = False
            self.transport.resume_reading()

    def _stop_lingering(self) -> None:
        """Close, unless a slow client still takes what was written."""
        unsent = self.transport.get_write_buffer_size()
        if 0 < unsent != self._unsent:
            self._unsent = unsent
            self.wait(self.plane.timeouts.body_idle_s)
        else:
            self.transport.abort()

    def _linger(self, size: int) -> None:
        self._lingered += size
        if self._lingered > LINGER_BYTES:
            self.transport.close()

    # --- who it is

    def identity(self, head: RequestHead) -> bytes:
        """The header lines that tell an upstream who the client is."""
        if self._trusted and head.forwarded:
            return extended_lines(
                self._peer, tls=self._tls, host=head.host, believed=head.forwarded
            )
        if head.host != self._host:
            self._host = head.host
            self._identity = forwarded_lines(self._peer, tls=self._tls, host=head.host)
        return self._identity

    def caller(self, head: RequestHead, sticky: str) -> bytes:
        """What a canary goes by: a header's or cookie's value, else the client's address."""
        kind, _, name = sticky.partition(":")
        value = None
        if kind == "header":
            value = head.value(name.lower().encode())
        elif kind == "cookie":
            value = _cookie(head, name.encode())
        return value or self._client_address(head)

    def _client_address(self, head: RequestHead) -> bytes:
        if self._trusted:
            for name, value in head.forwarded:
                if name.lower() == b"x-forwarded-for":
                    return value.partition(b",")[0].strip()
        return self._peer.encode()

    def switch(self, tunnel: "Tunnel") -> bytes:
        """Leave HTTP; what the client has sent since its request is returned."""
        waiting, self._after_upgrade = self._after_upgrade or b"", None
        self._tunnel = tunnel
        self._answering = None
        self.wait(self.plane.timeouts.tunnel_idle_s)
        if self._paused:
            self._paused = False
            self.transport.resume_reading()
        return waiting


def _cookie(head: RequestHead, name: bytes) -> bytes | None:
    for field, value in fields(head.lines):
        if field.lower() == b"cookie":
            for pair in value.split(b";"):
                key, _, held = pair.strip().partition(b"=")
                if key == name:
                    return held
    return None
