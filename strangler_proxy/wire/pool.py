"""Kept-alive connections to one upstream: lent for one exchange at a time, most recent first.

Bounded: at most `max_connections` are open, at most `queue` exchanges wait for one.
"""

import asyncio
import ssl
from collections import deque
from typing import TYPE_CHECKING

from strangler_proxy.config import Upstream
from strangler_proxy.wire.exchange import OVER, QUEUED, WAITING, Exchange
from strangler_proxy.wire.faults import Fault, bad_gateway, gateway_timeout, overloaded
from strangler_proxy.wire.upstream import UpstreamConnection

if TYPE_CHECKING:
    from strangler_proxy.wire.plane import DataPlane


class Pool:
    """The connections of one worker to one upstream.

    Raises OSError or ssl.SSLError when made with an unusable CA file.
    """

    def __init__(self, name: str, upstream: Upstream, plane: "DataPlane") -> None:
        self.name = name
        self.upstream = upstream
        self.plane = plane
        self.in_use = 0
        self._idle: deque[UpstreamConnection] = deque()
        self._waiting: deque[Exchange] = deque()
        self._dials: set[asyncio.Task[None]] = set()
        self._keeps = upstream.reuse != "never"
        self._idle_s = upstream.idle_s
        self._context = client_context(upstream)

    def take(self) -> UpstreamConnection | None:
        """Lend a kept connection that is still good, None if there is none."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            # What has come while nobody asked must not be taken for the next request's answer.
            if connection.good_until > self.plane.now and connection.quiet():
                self.in_use += 1
                return connection
            connection.close()
        return None

    def open(self, exchange: Exchange) -> None:
        """Have a new connection opened: `exchange.connected` or `.fail` is called, perhaps at once.

        Where no more may be open the exchange is queued.
        """
        if self.in_use < self.upstream.max_connections:
            self._dial(exchange)
        elif len(self._waiting) < self.upstream.queue:
            self._waiting.append(exchange)
            exchange.stage = QUEUED
        else:
            exchange.fail(overloaded(self.name, "has no connection free, and its queue is full"))

    def forget(self, exchange: Exchange) -> None:
        """Take an exchange that gave up waiting out of the queue."""
        if exchange in self._waiting:
            self._waiting.remove(exchange)

    def give_back(self, connection: UpstreamConnection, *, reusable: bool) -> None:
        """Take a lent connection back; the next in the queue gets it, or a new one in its place."""
        self.in_use -= 1
        if reusable and self._keeps:
            connection.good_until = self.plane.now + self._idle_s
            self._idle.append(connection)
        else:
            connection.close()
        if self._waiting:
            self._serve_waiting()

    def lost(self, connection: UpstreamConnection) -> None:
        """An idle connection was closed by the upstream."""
        if connection in self._idle:
            self._idle.remove(connection)

    def close_idle(self, now: float) -> None:
        """Close what has not been used for too long; the oldest come first."""
        while self._idle and self._idle[0].good_until <= now:
            self._idle.popleft().close()

    def retire(self) -> None:
        """Serve those who wait, keep nothing: the upstream's settings have been replaced."""
        self._keeps = False
        while self._idle:
            self._idle.pop().close()

    def _serve_waiting(self) -> None:
        while self._waiting and self.in_use < self.upstream.max_connections:
            exchange = self._waiting.popleft()
            exchange.stage = WAITING
            exchange.acquire()

    def _dial(self, exchange: Exchange) -> None:
        if len(self._idle) + self.in_use >= self.upstream.max_connections:
            self._idle.popleft().close()
        self.in_use += 1
        task = asyncio.get_running_loop().create_task(self._connect(exchange))
        self._dials.add(task)
        task.add_done_callback(self._dials.discard)

    async def _connect(self, exchange: Exchange) -> None:
        address, tls = self.upstream.origins[0].address, self.upstream.tls
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.upstream.connect_timeout_s):
                _, connection = await loop.create_connection(
                    lambda: UpstreamConnection(self),
                    address.host,
                    address.port,
                    ssl=self._context,
                    server_hostname=(tls.server_name or address.host) if self._context else None,
                )
        except TimeoutError:
            waited = self.upstream.connect_timeout_s
            self._not_connected(
                exchange, gateway_timeout(self.name, f"did not accept a connection in {waited:g} s")
            )
        except (OSError, UnicodeError) as fault:  # SSL errors are OSErrors; a name may be unusable
            reason = getattr(fault, "strerror", None) or str(fault) or type(fault).__name__
            self._not_connected(exchange, bad_gateway(self.name, f"cannot be reached: {reason}"))
        else:
            if exchange.stage == OVER:
                self.give_back(connection, reusable=True)
            else:
                exchange.connected(connection)

    def _not_connected(self, exchange: Exchange, fault: Fault) -> None:
        self.in_use -= 1
        if exchange.stage != OVER:
            exchange.fail(fault)
        self._serve_waiting()


def client_context(upstream: Upstream) -> ssl.SSLContext | None:
    """TLS towards an upstream, None for plain HTTP."""
    if not upstream.tls_on:
        return None
    context = ssl.create_default_context(cafile=upstream.tls.ca)
    if not upstream.tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
