"""The upstream side of an exchange: reads the answer, hands it on, and says how it ended.

An answer is handed on as it comes, framed anew for the client; one that breaks off is never
passed on as whole.
"""

import asyncio
import os
import select
import socket
from typing import TYPE_CHECKING, cast

import httptools

from strangler_proxy.wire import response
from strangler_proxy.wire.headers import LENGTH, Special, classify_answer, fields, may_be_trailer
from strangler_proxy.wire.response import UNTIL_CLOSE

if TYPE_CHECKING:
    from strangler_proxy.wire.exchange import Exchange
    from strangler_proxy.wire.pool import Pool
    from strangler_proxy.wire.tunnel import Tunnel

LONGEST_HEAD_BYTES = 262_144


class UpstreamConnection(asyncio.Protocol):
    """One connection to an upstream; idle, or lent to one exchange."""

    __slots__ = (
        "_body", "_done", "_keep_alive", "_leftover", "_lines", "_out", "_parser",
        "_paused", "_pool", "_readable", "_reason", "_spare", "_special", "_surplus",
        "exchange", "heard", "idle_since", "transport", "tunnel", "write_blocked",
    )  # fmt: skip
    transport: asyncio.Transport

    def __init__(self, pool: "Pool") -> None:
        self._pool = pool
        self._parser = httptools.HttpResponseParser(self)
        self._readable: select.poll | None = None
        self._spare: socket.socket | None = None
        self._paused = False
        self.exchange: Exchange | None = None
        self.tunnel: Tunnel | None = None
        self.idle_since = 0.0
        self.heard = False
        self.write_blocked = False
        self._lines: list[bytes] = []
        self._special: list[Special] = []
        self._reason = b""
        self._out: list[bytes] = []
        self._body: int | None = None
        self._done = False
        self._surplus = False
        self._keep_alive = False
        self._leftover = b""

    # --- lending

    def begin(self, exchange: "Exchange") -> None:
        """Serve an exchange: what arrives from now on is its answer."""
        self.exchange = exchange
        self.heard = False

    def quiet(self) -> bool:
        """Ask the kernel whether the upstream has closed (or spoken) while nobody was looking."""
        if self._readable is None:
            self._readable = select.poll()
            fd = self.transport.get_extra_info("socket").fileno()
            self._readable.register(fd, select.POLLIN | select.POLLHUP | select.POLLERR)
        return not self._readable.poll(0)

    def pause(self) -> None:
        """Read no more of the answer for now."""
        if not self._paused and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._paused and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()

    def watch_for_early_answer(self) -> None:
        """Keep a way to read an answer that is given before the request was sent whole.

        Such an upstream often closes at once, and our next write then fails: the transport drops
        what it has not read, but the answer is still in the socket.
        """
        if self._spare is None and self.transport.get_extra_info("sslcontext") is None:
            fd = self.transport.get_extra_info("socket").fileno()
            self._spare = socket.socket(fileno=os.dup(fd))

    def close(self) -> None:
        """Close after an exchange, or while idle."""
        self.exchange = None
        self._drop_spare()
        if not self.transport.is_closing():
            self.transport.abort()

    def _drop_spare(self) -> None:
        if self._spare is not None:
            self._spare.close()
            self._spare = None

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Read a piece of the answer, and pass on what it holds."""
        if self.tunnel is not None:
            self.tunnel.from_upstream(data)
            return
        exchange = self.exchange
        if exchange is None:  # nobody asked: whatever this is, it must not answer the next request
            self._pool.lost(self)
            self.close()
            return
        self.heard = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as switch:
            self._leftover = data[switch.args[0] :]
        except httptools.HttpParserError as fault:
            if not self._done:
                exchange.garbled(str(fault))
                return
            self._surplus = True
        if not exchange.over:
            self._hand_on(exchange)

    def eof_received(self) -> bool:
        """The upstream has said all; a body without a length is complete by that."""
        if self.tunnel is not None:
            return self.tunnel.upstream_ended()
        exchange = self.exchange
        if exchange is not None and self._body == UNTIL_CLOSE and not self._done:
            self._end_until_close()
            self._hand_on(exchange)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone; an exchange that still needed it is told."""
        if self.tunnel is not None:
            self.tunnel.upstream_lost()
            return
        if self.exchange is not None and exc is not None and self._spare is not None:
            self._read_what_is_left()
        self._drop_spare()
        if self.exchange is None:
            self._pool.lost(self)
        else:
            self.exchange.upstream_lost(exc)

    def _read_what_is_left(self) -> None:
        spare = self._spare
        if spare is None:
            return
        spare.setblocking(False)
        try:
            while self.exchange is not None and (data := spare.recv(65536)):
                self.data_received(data)
        except OSError:
            return  # nothing more: the exchange is told that the upstream is lost

    def pause_writing(self) -> None:
        """The upstream takes the request more slowly than the client sends it."""
        self.write_blocked = True
        if self.tunnel is not None:
            self.tunnel.pause_client()
        elif self.exchange is not None:
            self.exchange.client.regulate()

    def resume_writing(self) -> None:
        """The upstream takes more again."""
        self.write_blocked = False
        if self.tunnel is not None:
            self.tunnel.resume_client()
        elif self.exchange is not None:
            self.exchange.upstream_ready()

    # --- httptools

    def on_message_begin(self) -> None:
        """A second answer to one request belongs to nobody."""
        if self._done:
            self._surplus = True

    def on_status(self, reason: bytes) -> None:
        """Collect the reason phrase."""
        self._reason = self._reason + reason if self._reason else reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header line, or a trailer."""
        kind = classify_answer(name)
        if kind:
            self._special.append((kind, name, value))
            if kind != LENGTH:
                return
        self._lines += (name, b": ", value, b"\r\n")

    def on_headers_complete(self) -> None:
        """The head is whole: turn it into the one that the client gets."""
        exchange = self.exchange
        if exchange is None or self._done or self._surplus:
            return
        lines, special, reason = self._lines, self._special, self._reason
        self._lines, self._special, self._reason = [], [], b""
        status = self._parser.get_status_code()
        if status < 200:
            _, lines = response.read_head(status, lines, special, bodiless=True)
            self._out += exchange.interim(status, reason, lines)
            return
        self._keep_alive = self._parser.should_keep_alive()
        bodiless = exchange.head.method == b"HEAD"
        self._body, lines = response.read_head(status, lines, special, bodiless=bodiless)
        self._out += exchange.answer(status, reason, lines, self._body)
        if bodiless:
            self._done = True
            # llhttp still expects the body that Content-Length promises; HEAD has none.
            self._parser = httptools.HttpResponseParser(self)

    def on_body(self, body: bytes) -> None:
        """Frame a piece of the body for the client."""
        if self._done or self.exchange is None:
            self._surplus = True
        elif self.exchange.chunked_answer:
            self._out += (b"%x\r\n" % len(body), body, b"\r\n")
        else:
            self._out.append(body)

    def on_message_complete(self) -> None:
        """The answer is whole, unless it was an interim one."""
        if self._body is None or self._done:
            return
        self._done = True
        if self.exchange is not None and self.exchange.chunked_answer:
            kept = [header for header in fields(self._lines) if may_be_trailer(header[0])]
            trailers = b"".join(b"%b: %b\r\n" % header for header in kept)
            self._lines, self._special = [], []
            self._out.append(b"0\r\n%b\r\n" % trailers)

    # --- handing on

    def _end_until_close(self) -> None:
        self._done = True
        self._keep_alive = False
        if self.exchange is not None and self.exchange.chunked_answer:
            self._out.append(b"0\r\n\r\n")

    def _hand_on(self, exchange: "Exchange") -> None:
        out = self._out
        if out:
            self._out = []
            exchange.client.write_answer(out)
        if self._done:
            reusable = self._keep_alive and not self._surplus
            self.exchange = self._body = None
            self._done = False
            exchange.answered(reusable=reusable)
        elif exchange.switching:
            exchange.switch(self._leftover)
        else:
            exchange.client.wait_for(exchange)
            if self._body is None:
                self._check_head_size(exchange)

    def _check_head_size(self, exchange: "Exchange") -> None:
        if sum(map(len, self._lines)) > LONGEST_HEAD_BYTES:
            exchange.garbled(f"its head is longer than {LONGEST_HEAD_BYTES} bytes")
