"""Accept clients on a socket, keep the plane's time, and stop without cutting anybody off."""

import asyncio
import logging
import socket
import ssl

from strangler_proxy.wire.client import ClientConnection
from strangler_proxy.wire.plane import TICK_S, DataPlane

log = logging.getLogger(__name__)
BACKLOG = 4096


class Listener:
    """The accepting side of one worker."""

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane
        self._server: asyncio.Server | None = None
        self._ticker: asyncio.Task[None] | None = None

    async def start(self, sock: socket.socket, tls: ssl.SSLContext | None) -> None:
        """Accept clients from now on."""
        loop = asyncio.get_running_loop()
        plane, secure = self._plane, tls is not None
        self._server = await loop.create_server(
            lambda: ClientConnection(plane, tls=secure),
            sock=sock,
            ssl=tls,
            backlog=BACKLOG,
            # The plane sees a connection once its handshake is over.
            ssl_handshake_timeout=plane.timeouts.header_s if secure else None,
        )
        self._ticker = loop.create_task(self._tick())

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            try:
                self._plane.tick()
            except Exception:  # one connection's fault must not stop everybody's time
                log.exception("a connection could not be timed out")

    async def drain(self, seconds: float) -> None:
        """Accept no more, let requests in flight finish within this time, close the rest."""
        # Clients that the kernel has accepted already are served: one turn of the loop takes them.
        await asyncio.sleep(0.05)
        if self._server is not None:
            self._server.close()
        self._plane.drain()
        deadline = asyncio.get_running_loop().time() + seconds
        while self._plane.connections and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 - connections end in many places
            await asyncio.sleep(0.02)
        self._plane.abort()
        if self._ticker is not None:
            self._ticker.cancel()


def server_context(certificate: str, key: str) -> ssl.SSLContext:
    """TLS towards clients, HTTP/1.1 only; OSError or ssl.SSLError when a file is unusable."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(certificate, key)
    return context
