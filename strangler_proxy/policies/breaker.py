"""A breaker: closed, open, half-open with one probe. Opens no sockets and reads no clock.

Its state is a row of floats that several processes may share, so that all workers of a proxy see
one breaker: five failures are five, whoever met them, and of all workers one sends the probe.
Whoever changes the row holds its guard; looking needs none.
"""

from collections.abc import MutableSequence
from contextlib import AbstractContextManager, nullcontext

from strangler_proxy.config import Breaker as Settings

# What a breaker says to a request; any other number is a probe's ticket.
CLOSED, OPEN = 0.0, -1.0

# The row. Times are in seconds of the machine's monotonic clock.
_FORCED, _OPEN_UNTIL, _PROBE_UNTIL, _IN_A_ROW, _OPENED = range(5)
_HALF_SINCE, _REQUESTS, _FAILURES, _REQUESTS_BEFORE, _FAILURES_BEFORE = range(5, 10)
CELLS = 16

FORCED = {"auto": 0.0, "open": 1.0, "closed": 2.0}
"""What an operator may say; `auto` leaves it to the breaker."""


class Breaker:
    """The breaker of one upstream, over a row of CELLS floats that begins as zeros."""

    def __init__(
        self,
        settings: Settings,
        cells: MutableSequence[float] | None = None,
        guard: AbstractContextManager[object] | None = None,
    ) -> None:
        self.settings = settings
        self.failing = frozenset(settings.statuses)
        """Statuses that count as failures."""
        self._cells: MutableSequence[float] = [0.0] * CELLS if cells is None else cells
        self._guard = nullcontext() if guard is None else guard

    def admit(self, now: float, longest_s: float = 0.0) -> float:
        """Say whether a request may go: CLOSED yes, OPEN no, a ticket yes, and its outcome decides.

        `longest_s`: the time that such a probe may take. One that never tells its outcome (its
        process was killed) bars others for that time, and for `open_s` at least.
        """
        cells = self._cells
        forced, until = cells[_FORCED], cells[_OPEN_UNTIL]
        if forced:
            return OPEN if forced == FORCED["open"] else CLOSED
        if not until:
            return CLOSED
        if now < until or now < cells[_PROBE_UNTIL]:
            return OPEN
        with self._guard:
            if not cells[_OPEN_UNTIL]:  # somebody's probe has just closed it
                return CLOSED
            if now < cells[_PROBE_UNTIL] or now < cells[_OPEN_UNTIL]:
                return OPEN
            ticket = cells[_PROBE_UNTIL] = now + max(self.settings.open_s, longest_s)
            return ticket

    def wait_s(self, now: float) -> float:
        """How long until it is worth asking again; for Retry-After.

        While a probe is under way: as long as it takes to open again at most. The longest time that
        a probe may take says nothing, for most are answered at once.
        """
        cells, open_s = self._cells, self.settings.open_s
        if cells[_FORCED]:
            return open_s
        return max(0.0, cells[_OPEN_UNTIL] - now, min(open_s, cells[_PROBE_UNTIL] - now))

    def succeeded(self, now: float, probe: float = 0.0) -> None:
        """Take note of a good answer; `probe`: the ticket of its request, if it had one."""
        cells = self._cells
        if probe:
            with self._guard:
                if cells[_PROBE_UNTIL] == probe:
                    self._close()
        elif cells[_OPEN_UNTIL]:
            return  # it had been asked for before
        elif self.settings.ratio is not None:
            with self._guard:
                self._count(now, failed=False)
        elif cells[_IN_A_ROW]:
            with self._guard:
                cells[_IN_A_ROW] = 0.0

    def failed(self, now: float, probe: float = 0.0) -> bool:
        """Take note of a failure; whether it opened the breaker.

        While it is open, what had been sent before changes nothing: nor does a probe that took so
        long that another was sent.
        """
        cells = self._cells
        with self._guard:
            if cells[_FORCED]:
                return False
            if probe and cells[_PROBE_UNTIL] == probe:
                return self._open(now)
            if cells[_OPEN_UNTIL]:
                return False
            if self.settings.ratio is None:
                cells[_IN_A_ROW] += 1
                return cells[_IN_A_ROW] >= self.settings.failures and self._open(now)
            self._count(now, failed=True)
            return self._too_many(self.settings.ratio) and self._open(now)

    def release(self, probe: float) -> None:
        """Give up a probe that has no outcome, as when its client hung up: another may probe."""
        with self._guard:
            if self._cells[_PROBE_UNTIL] == probe:
                self._cells[_PROBE_UNTIL] = 0.0

    def force(self, word: str) -> None:
        """Let an operator decide: `open`, `closed`, or `auto`, which begins anew as closed."""
        with self._guard:
            self._close()
            self._cells[_FORCED] = FORCED[word]

    def state(self, now: float) -> str:
        """`closed`, `open` or `half-open`."""
        cells = self._cells
        if cells[_FORCED]:
            return "open" if cells[_FORCED] == FORCED["open"] else "closed"
        if not cells[_OPEN_UNTIL]:
            return "closed"
        return "open" if now < cells[_OPEN_UNTIL] else "half-open"

    @property
    def forced(self) -> str | None:
        """What an operator has said, unless that is `auto`."""
        said = self._cells[_FORCED]
        return next((word for word, value in FORCED.items() if said and value == said), None)

    @property
    def opened(self) -> int:
        """How often it has opened."""
        return int(self._cells[_OPENED])

    def _open(self, now: float) -> bool:
        """Under the guard; always true."""
        # Before all else: whoever looks without the guard must not see it closed in between.
        self._cells[_OPEN_UNTIL] = now + self.settings.open_s
        self._forget()
        self._cells[_OPENED] += 1
        return True

    def _close(self) -> None:
        """Under the guard."""
        self._cells[_OPEN_UNTIL] = 0.0
        self._forget()

    def _forget(self) -> None:
        """Under the guard: what was counted before says nothing any more."""
        for cell in (
            *(_PROBE_UNTIL, _IN_A_ROW),
            *(_REQUESTS, _FAILURES, _REQUESTS_BEFORE, _FAILURES_BEFORE),
        ):
            self._cells[cell] = 0.0

    def _count(self, now: float, *, failed: bool) -> None:
        """Under the guard: the window is two halves, and the older one is dropped whole."""
        cells, half_s = self._cells, self.settings.window_s / 2
        since = now - cells[_HALF_SINCE]  # below zero: another process has read its clock later
        if since >= half_s:
            fresh = since < 2 * half_s
            cells[_REQUESTS_BEFORE] = cells[_REQUESTS] if fresh else 0.0
            cells[_FAILURES_BEFORE] = cells[_FAILURES] if fresh else 0.0
            cells[_REQUESTS] = cells[_FAILURES] = 0.0
            cells[_HALF_SINCE] = now
        cells[_REQUESTS] += 1
        cells[_FAILURES] += failed

    def _too_many(self, ratio: float) -> bool:
        cells = self._cells
        requests = cells[_REQUESTS] + cells[_REQUESTS_BEFORE]
        failures = cells[_FAILURES] + cells[_FAILURES_BEFORE]
        return requests >= self.settings.least_requests and failures >= ratio * requests
