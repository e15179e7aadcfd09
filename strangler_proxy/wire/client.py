"""The client side: requests are answered one after the other, in the order they came."""

import asyncio
import select
from typing import TYPE_CHECKING, cast

import httptools

from strangler_proxy.wire.arriving import Arriving
from strangler_proxy.wire.caller import caller
from strangler_proxy.wire.closing import Closing
from strangler_proxy.wire.exchange import Exchange
from strangler_proxy.wire.faults import REQUEST_TIMEOUT, Fault, problem
from strangler_proxy.wire.identity import extended_lines, forwarded_lines, is_trusted
from strangler_proxy.wire.request import RequestHead
from strangler_proxy.wire.stage import ANSWERING, GATHERING, HELD, QUEUED, SENT, WAITING

if TYPE_CHECKING:
    from strangler_proxy.wire.plane import DataPlane
    from strangler_proxy.wire.tunnel import Tunnel

NEVER = float("inf")
LOOK_AGAIN_S = 0.25


class ClientConnection(Closing, asyncio.Protocol):
    """One client's connection, from accept to close."""

    __slots__ = (
        "_host", "_identity", "_peer", "_trusted", "arriving", "deadline", "write_blocked",
    )  # fmt: skip
    is_part = False

    def __init__(self, plane: "DataPlane", *, tls: bool) -> None:
        super().__init__(plane, tls=tls)
        self.deadline = NEVER
        self.write_blocked = False
        self.arriving: Arriving | None = None
        """The body that is not here whole, of the request that is being answered."""
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
        elif self._closing:
            self._linger(len(data))
        else:
            self._read(data)
            self._turn()

    def eof_received(self) -> bool:
        """The client says no more; a request that is here whole is still answered."""
        if self._tunnel is not None:
            return self._tunnel.client_ended()
        if self._receiving is not None or self._answering is None:
            return False
        if self._answering.stage == HELD:
            return False  # it was sent nowhere yet: whoever leaves now has not asked
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
        self._arrived()
        self._pipeline.clear()

    def pause_writing(self) -> None:
        """The client reads more slowly than the answer comes."""
        self.write_blocked = True
        if self._tunnel is not None:
            self._tunnel.pause_upstream()
        elif self._answering is not None:
            self._answering.pause_answer()
            self._wait_again(self._answering)

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.write_blocked = False
        if self._tunnel is not None:
            self._tunnel.resume_upstream()
        elif self._answering is not None:
            self._answering.resume_answer()
            self._wait_again(self._answering)
        else:
            self._turn()

    # --- answering in order

    @property
    def answering(self) -> Exchange | None:
        """The request that is being answered."""
        return self._answering

    def _turn(self) -> None:
        """Go on: send what is here, start the next request, or end."""
        if self._closing or self._tunnel is not None:
            return
        if self._answering is not None:
            self._advance(self._answering)
        elif self.write_blocked:
            self.regulate()  # who does not take what was said is not told more
            return
        elif self._pipeline:
            self._in_head = False
            exchange = self._answering = self._pipeline.popleft()
            if exchange.received:
                exchange.start()
            else:
                self._begin_body(exchange)
        else:
            self._rest()
        if self._paused or self._pipeline or self._receiving or self._after_upgrade is not None:
            self.regulate()

    def _advance(self, exchange: Exchange) -> None:
        if self._fault is not None and not exchange.received:
            # The body turned out malformed: the upstream must not take it for whole.
            fault, self._fault = self._fault, None
            if exchange.stage == GATHERING:
                self.plane.observe(exchange)
            exchange.fail(fault)
        elif exchange.stage == GATHERING and self.arriving is not None:
            self._gather(exchange, self.arriving)
        elif exchange.send():
            self.wait_for(exchange)

    def _begin_body(self, exchange: Exchange) -> None:
        self.arriving = Arriving(self.plane, exchange, is_read=not self._paused)
        if self.arriving.is_enough():
            exchange.start()
        else:
            exchange.stage = GATHERING
            self.wait_for(exchange)

    def _gather(self, exchange: Exchange, arriving: Arriving) -> None:
        """Ask an upstream once there is enough of the body."""
        if arriving.is_enough():
            exchange.stage = WAITING
            exchange.start()
        elif arriving.has_come():
            self.wait_for(exchange)

    def _arrived(self) -> None:
        if self.arriving is not None:
            self.arriving.let_go()
            self.arriving = None

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
        if self.arriving is not None:
            self._arrived()
        if not exchange.received or not exchange.keep_alive:
            self._close_gently()
            return
        plane = self.plane
        self.deadline = plane.now + plane.timeouts.keepalive_s
        if self._paused or self._head_bytes or self._target or self._fault or plane.draining:
            self._turn()

    def fail(self, exchange: Exchange, fault: Fault) -> None:
        """Answer with the proxy's own words."""
        self._answering = None
        self._arrived()
        keep_alive = exchange.received and exchange.keep_alive and not self.plane.draining
        head_only = exchange.head.method == b"HEAD"
        if keep_alive and (fault.by_upstream or fault.by_rule):
            request_id = exchange.head.request_id
            self.transport.write(problem(fault, request_id, head_only=head_only, close=False))
            self.wait(self.plane.timeouts.keepalive_s)
            # Not at once: many requests that were sent ahead may fail one inside the other.
            asyncio.get_running_loop().call_soon(self._turn)
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
        if answering is None:
            full = full or self.write_blocked
        elif not answering.received:
            full = full or answering.blocked
        if full != self._paused and not self._closing and not self.transport.is_closing():
            self._paused = full
            if full:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()
            if self.arriving is not None:
                self._pace_again(self.arriving)

    def _pace_again(self, arriving: Arriving) -> None:
        """Reading has begun or stopped: somebody else is waited for from now on."""
        exchange = self._answering
        arriving.is_read = not self._paused
        arriving.due(self.plane.clock())
        if exchange is not None and not exchange.received:
            self._wait_again(exchange)

    def _wait_again(self, exchange: Exchange) -> None:
        """Somebody else is waited for from now on, unless a time that is not ours is running."""
        if exchange.stage in (GATHERING, SENT, ANSWERING):
            self.wait_for(exchange)

    # --- time

    def wait(self, seconds: float) -> None:
        """Expect something to happen within this time."""
        self.deadline = self.plane.clock() + seconds

    def wait_forever(self) -> None:
        """Expect something that has a bound of its own."""
        self.deadline = NEVER

    def wait_for(self, exchange: Exchange) -> None:
        """Expect the next piece of this request, or of its answer."""
        if (exchange.received or exchange.blocked) and not self.write_blocked:
            lane = exchange.lane
            self.wait(lane.idle_s if exchange.stage >= ANSWERING else lane.timeout_s)
        else:
            now = self.plane.clock()
            self.deadline = now + self.plane.timeouts.body_idle_s
            # Once it is being answered, a client may think before it says more.
            judged = not exchange.received and not self.write_blocked and exchange.stage < ANSWERING
            if judged and self.arriving is not None:
                self.deadline = min(self.deadline, self.arriving.due(now))

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
        elif exchange.stage == QUEUED or exchange.received or exchange.blocked:
            exchange.expire()
        elif self._has_unread():
            self.wait(LOOK_AGAIN_S)  # it is not the client who is late
        else:
            self._too_slow(exchange)

    def _too_slow(self, exchange: Exchange) -> None:
        arriving = self.arriving
        fault = REQUEST_TIMEOUT if arriving is None else arriving.fault(self.plane.clock())
        if exchange.stage == GATHERING:
            self.plane.observe(exchange)
        self.plane.note("refused", exchange.lane.route, "slow-body")
        if exchange.seen is not None:
            exchange.seen.reason = "slow-body"
        exchange.fail(fault)

    def _has_unread(self) -> bool:
        """Whether the kernel has something of the client's that nobody has read yet."""
        look = select.poll()
        look.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(look.poll(0))

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
        """What a canary knows the caller of this request by."""
        believed = head.forwarded if self._trusted else ()
        return caller(head, sticky, self._peer, believed, self.plane.trusted)

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
