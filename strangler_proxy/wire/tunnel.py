"""Bytes both ways after a 101 answer, such as a WebSocket: nothing is read into them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strangler_proxy.wire.client import ClientConnection
    from strangler_proxy.wire.upstream import UpstreamConnection


class Tunnel:
    """Two connections joined; what one sends the other gets, at the pace of the slower."""

    __slots__ = ("_client", "_ended", "_half_closed", "_upstream")

    def __init__(self, client: "ClientConnection", upstream: "UpstreamConnection") -> None:
        self._client = client
        self._upstream = upstream
        self._ended = False
        self._half_closed = False

    def start(self, from_upstream: bytes) -> None:
        """Join the two; `from_upstream` came in one piece with the 101."""
        self._upstream.tunnel = self
        waiting = self._client.switch(self)
        if from_upstream:
            self.from_upstream(from_upstream)
        if waiting:
            self.from_client(waiting)

    def from_client(self, data: bytes) -> None:
        """Pass on what the client sends."""
        self._client.wait(self._client.plane.timeouts.tunnel_idle_s)
        self._upstream.transport.write(data)

    def from_upstream(self, data: bytes) -> None:
        """Pass on what the upstream sends."""
        self._client.wait(self._client.plane.timeouts.tunnel_idle_s)
        self._client.transport.write(data)

    def pause_client(self) -> None:
        """The upstream is slow."""
        if not self._client.transport.is_closing():
            self._client.transport.pause_reading()

    def resume_client(self) -> None:
        """The upstream takes more."""
        if not self._client.transport.is_closing():
            self._client.transport.resume_reading()

    def pause_upstream(self) -> None:
        """The client is slow."""
        if not self._upstream.transport.is_closing():
            self._upstream.transport.pause_reading()

    def resume_upstream(self) -> None:
        """The client takes more."""
        if not self._upstream.transport.is_closing():
            self._upstream.transport.resume_reading()

    def client_ended(self) -> bool:
        """The client says no more, but may listen on; true keeps its connection."""
        return self._half_close(self._upstream.transport)

    def upstream_ended(self) -> bool:
        """The upstream says no more, but may listen on."""
        return self._half_close(self._client.transport)

    def client_lost(self) -> None:
        """The client is gone."""
        self._end()

    def upstream_lost(self) -> None:
        """The upstream is gone: what it said last still goes out."""
        self._client.transport.close()
        self._end()

    def _half_close(self, other: "asyncio.Transport") -> bool:
        """Pass one side's end on; the second end closes both, after what was written."""
        if self._half_closed or other.is_closing() or not other.can_write_eof():
            other.close()
            return False
        self._half_closed = True
        other.write_eof()
        return True

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._upstream.endpoint.pool.give_back(self._upstream, reusable=False)


if TYPE_CHECKING:
    import asyncio
