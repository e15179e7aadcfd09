"""How a client's connection ends: gently where an answer is to arrive, else by a reset."""

import asyncio
import socket
import struct
from abc import abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING

from strangler_proxy.wire.reader import RequestReader

if TYPE_CHECKING:
    from strangler_proxy.wire.plane import DataPlane
    from strangler_proxy.wire.tunnel import Tunnel

LINGER_S = 2.0
LINGER_BYTES = 16 * 2**20
_RESET = struct.pack("ii", 1, 0)


class Closing(RequestReader):
    """The part of a client's connection that brings it to its end."""

    __slots__ = (
        "_closing", "_in_head", "_lingered", "_paused", "_tls", "_tunnel", "_unsent", "transport",
    )  # fmt: skip
    transport: asyncio.Transport

    def __init__(self, plane: "DataPlane", *, tls: bool) -> None:
        super().__init__(plane)
        self._tls = tls
        self._in_head = False
        self._paused = False
        """Nothing is read from the client for now."""
        self._tunnel: Tunnel | None = None
        self._closing = False
        self._lingered = 0
        self._unsent = 0

    @abstractmethod
    def wait(self, seconds: float) -> None:
        """Expect something to happen within this time."""

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
            with suppress(OSError):  # an orderly end is better than none
                self._reset_at_close()
        self.transport.abort()

    def _reset_at_close(self) -> None:
        """By the transport's own descriptor: there may be no other left."""
        same = socket.socket(fileno=self.transport.get_extra_info("socket").fileno())
        try:
            same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        finally:
            same.detach()

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
