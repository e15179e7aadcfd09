"""A part of a composed answer: a request that the proxy itself makes, through its own routes.

It stands where a client's connection would: the exchange that it starts is routed, guarded,
counted and timed like any other. It asks as HTTP/1.0, so that a body comes as it is.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from strangler_proxy.wire.exchange import Exchange
from strangler_proxy.wire.faults import Fault
from strangler_proxy.wire.request import RequestHead
from strangler_proxy.wire.stage import ANSWERING

if TYPE_CHECKING:
    from strangler_proxy.wire.client import ClientConnection
    from strangler_proxy.wire.plane import DataPlane

NEVER = float("inf")
Answered = Callable[[int, bytes, bytes], None]
"""Called with status, head (whole lines) and body."""


class Part:
    """One part under way; exactly one of `answered` and `failed` is called, unless it is dropped.

    `most_bytes`: longest answer, head included; `timeout_s`: the whole must be here by then.
    """

    is_part = True
    arriving = None

    def __init__(
        self,
        asker: "ClientConnection",
        head: RequestHead,
        *,
        timeout_s: float,
        most_bytes: int,
        answered: Answered,
        failed: Callable[[Fault], None],
    ) -> None:
        self.plane: DataPlane = asker.plane
        self.write_blocked = False
        self._asker = asker
        self._most_bytes = most_bytes
        self._answered, self._failed = answered, failed
        self._timeout_s = timeout_s
        self._until = self._deadline = self.plane.clock() + timeout_s
        self._pieces: list[bytes] = []
        self._size = 0
        self._over = False
        self._exchange = Exchange(self, head)  # type: ignore[arg-type]  # it is what a client is
        self._exchange.received = True

    def start(self) -> None:
        """Ask."""
        self.plane.connections.add(self)
        self._exchange.start()

    def drop(self) -> None:
        """Nobody wants it any more."""
        if not self._over:
            self._end()
            self._exchange.abandon()

    def _end(self) -> None:
        self._over = True
        self.plane.connections.discard(self)

    def _fail(self, fault: Fault) -> None:
        if not self._over:
            self._end()
            self._failed(fault)

    @property
    def deadline(self) -> float:
        """When it is to be ended, at the latest when the part's time is over."""
        return self._deadline

    @deadline.setter
    def deadline(self, wished: float) -> None:
        self._deadline = min(self._until, wished)

    @property
    def answering(self) -> Exchange | None:
        """The request of this part."""
        return self._exchange

    # --- what an exchange asks of its client

    def identity(self, head: RequestHead) -> bytes:
        """Who the client is, who asked for the whole."""
        return self._asker.identity(head)

    def caller(self, head: RequestHead, sticky: str) -> bytes:
        """What the client is known by."""
        return self._asker.caller(head, sticky)

    def write_answer(self, pieces: list[bytes]) -> None:
        """Keep a piece of the answer."""
        self._pieces += pieces
        self._size += sum(map(len, pieces))
        if self._size > self._most_bytes and not self._over:
            self._fail(Fault(502, f"its answer is longer than {self._most_bytes} bytes"))
            self._exchange.abandon()

    def finished(self, exchange: Exchange) -> None:
        """The answer is here whole."""
        if self._over:
            return
        self._end()
        head, _, body = b"".join(self._pieces).partition(b"\r\n\r\n")
        start, _, lines = head.partition(b"\r\n")
        self._answered(int(start.split(b" ", 2)[1]), lines + b"\r\n", body)

    def fail(self, exchange: Exchange, fault: Fault) -> None:
        """There is none."""
        self._fail(fault)

    def abort(self) -> None:
        """The answer broke off, or the proxy stops."""
        if not self._over:
            self._fail(Fault(502, "its answer broke off"))
            self._exchange.abandon()

    def drain(self) -> None:
        """It is in flight, and may finish."""

    def regulate(self) -> None:
        """It has no body to wait for."""

    def wait(self, seconds: float) -> None:
        """Expect something within this time."""
        self.deadline = self.plane.clock() + seconds

    def wait_forever(self) -> None:
        """Expect something that has a bound of its own."""
        self.deadline = NEVER

    def wait_for(self, exchange: Exchange) -> None:
        """Expect the next piece."""
        lane = exchange.lane
        self.wait(lane.idle_s if exchange.stage >= ANSWERING else lane.timeout_s)

    def expire(self) -> None:
        """What was expected has not come."""
        if self._over:
            return  # another that expired in the same moment has settled it
        if self.plane.now >= self._until:
            self._fail(Fault(504, f"it was not here whole in {self._timeout_s:g} s"))
            self._exchange.run_out(self._timeout_s)
        else:
            self._exchange.expire()
