"""The upstream side of an exchange: reads the answer, hands it on, and says how it ended.

An answer is handed on as it comes, framed anew for the client; one that breaks off is never
passed on as whole.
"""

import asyncio
import os
import select
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, cast

import httptools

from strangler_proxy.wire import response
from strangler_proxy.wire.exchange import Exchange
from strangler_proxy.wire.request import COUNTED
from strangler_proxy.wire.response import UNKNOWN, UNTIL_CLOSE
from strangler_proxy.wire.stage import SWITCHING

if TYPE_CHECKING:
    from strangler_proxy.wire.endpoint import Endpoint
    from strangler_proxy.wire.tunnel import Tunnel

LONGEST_HEAD_BYTES = 262_144
LONG_BODY_BYTES = 65_536
_H = ord("H")


class UpstreamConnection(asyncio.Protocol):
    """One connection to an upstream; idle, or lent to one exchange."""

    __slots__ = (
        "_body", "_done", "_keep_alive", "_left", "_leftover", "_out", "_parser",
        "_raw", "_readable", "_spare", "_surplus",
        "endpoint", "exchange", "good_until", "heard", "paused", "transport", "tunnel",
        "write_blocked",
    )  # fmt: skip
    transport: asyncio.Transport

    def __init__(self, endpoint: "Endpoint") -> None:
        self.endpoint = endpoint
        self._parser = httptools.HttpResponseParser(self)
        self._readable: select.poll | None = None
        self._spare: socket.socket | None = None
        self.paused = False
        self.exchange: Exchange | None = None
        self.tunnel: Tunnel | None = None
        self.good_until = 0.0
        self.heard = False
        self.write_blocked = False
        self._raw = b""
        """What came since a message began, until its head is whole."""
        self._left = 0
        """Bytes missing of a long body that is passed on without being looked at."""
        self._out: list[bytes] = []
        self._body: int | None = None
        self._done = False
        self._surplus = False
        self._keep_alive = False
        self._leftover = b""

    # --- lending

    def quiet(self) -> bool:
        """Whether an idle connection is still open, and has said nothing that nobody has read yet.

        The kernel is asked: a close, or bytes that belong to no request, may have come meanwhile.
        """
        if self.transport.is_closing():
            return False
        if self._readable is None:
            self._readable = select.poll()
            fd = self.transport.get_extra_info("socket").fileno()
            self._readable.register(fd, select.POLLIN | select.POLLHUP | select.POLLERR)
        return not self._readable.poll(0)

    def pause(self) -> None:
        """Read no more of the answer for now."""
        if not self.paused and not self.transport.is_closing():
            self.paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self.paused and not self.transport.is_closing():
            self.paused = False
            self.transport.resume_reading()

    def watch_for_early_answer(self) -> None:
        """Keep a way to read an answer that is given before the request was sent whole.

        Such an upstream often closes at once, and our next write then fails: the transport drops
        what it has not read, but the answer is still in the socket. Where there is no descriptor
        left for it, such an answer may be lost, and nothing else.
        """
        if self._spare is None and self.transport.get_extra_info("sslcontext") is None:
            fd = self.transport.get_extra_info("socket").fileno()
            with suppress(OSError):
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
            self.endpoint.forget(self)
            self.close()
            return
        self.heard = True
        if self._left:
            self._pass_body(exchange, data)
            return
        if self._body is None:
            self._raw = self._raw + data if self._raw else data
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as switch:
            self._leftover = data[switch.args[0] :]
        except httptools.HttpParserError as fault:
            if not self._done:
                exchange.garbled(str(fault))
                return
            self._surplus = True
        if self._done:
            self._end(exchange)
        elif self.exchange is exchange:
            self._hand_on(exchange)

    def eof_received(self) -> bool:
        """The upstream has said all; a body without a length is complete by that."""
        if self.tunnel is not None:
            return self.tunnel.upstream_ended()
        exchange = self.exchange
        if exchange is not None and self._body == UNTIL_CLOSE and not self._done:
            self._end_until_close()
            self._end(exchange)
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
            self.endpoint.forget(self)
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

    def on_headers_complete(self) -> None:
        """The head is whole: turn it into the one that the client gets."""
        exchange = self.exchange
        if exchange is None or self._done:
            return
        raw, self._raw = self._raw, b""
        if raw[0] != _H:
            raw = raw.lstrip(b"\r\n")
        end = raw.index(b"\r\n\r\n")
        status = self._parser.get_status_code()
        bodiless = exchange.head.method == b"HEAD"
        passing, body, length = response.read_head(raw[: end + 2], status, bodiless=bodiless)
        if status < 200:
            if status < 100:  # what comes behind it would pass for the client's next answer
                exchange.garbled(f"its status is {status:03}")
                return
            self._raw = raw[end + 4 :]
            self._out += exchange.interim(status, passing)
            return
        if body == UNKNOWN:
            exchange.garbled("its Transfer-Encoding is not chunked")
            return
        if exchange.lane.retry is not None and exchange.thrown_away(status):
            return  # the connection is closed, and what still comes on it belongs to nobody
        self._keep_alive = self._parser.should_keep_alive()
        self._body = body
        self._out += exchange.answer(status, passing, body)
        if length > LONG_BODY_BYTES and body == COUNTED:
            self._left = max(0, length - (len(raw) - end - 4))
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
            # Trailers are not asked for (TE does not pass), and so not passed (RFC 9112 §7.1.2).
            self._out.append(b"0\r\n\r\n")

    # --- handing on

    def _end_until_close(self) -> None:
        self._done = True
        self._keep_alive = False
        if self.exchange is not None and self.exchange.chunked_answer:
            self._out.append(b"0\r\n\r\n")

    def _pass_body(self, exchange: Exchange, data: bytes) -> None:
        """Pass on a piece of a long counted body as it is; the parser is not needed for it."""
        left = self._left
        self._left = max(0, left - len(data))
        if not self._left:
            self._done = True
            self._surplus = len(data) > left
            self._parser = httptools.HttpResponseParser(self)
        self._out = [data[:left] if self._surplus else data]
        if self._done:
            self._end(exchange)
        else:
            self._hand_on(exchange)

    def _end(self, exchange: Exchange) -> None:
        """Hand on the last of an answer."""
        out, self._out = self._out, []
        self._body, self._done = None, False
        exchange.finish(out, reusable=self._keep_alive and not self._surplus)

    def _hand_on(self, exchange: Exchange) -> None:
        """Hand on what is here of an answer."""
        out, self._out = self._out, []
        if out:
            exchange.client.write_answer(out)
            if exchange.seen is not None:
                exchange.seen.sent(out)
        if exchange.stage == SWITCHING:
            exchange.switch(self._leftover)
        elif self._body is not None:
            exchange.client.wait_for(exchange)
        else:
            self._check_head_size(exchange)
            if not exchange.received:  # else an answer is waited for, and no longer for a 1xx
                exchange.client.wait_for(exchange)

    def _check_head_size(self, exchange: Exchange) -> None:
        if len(self._raw) > LONGEST_HEAD_BYTES:
            exchange.garbled(f"its head is longer than {LONGEST_HEAD_BYTES} bytes")
