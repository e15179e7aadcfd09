"""Real time, which SIGINT and SIGTERM can cut short; and the waits that stand on it."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from strangler_proxy.steps.step import Interrupted, Pace


class RealPace:
    """Monotonic time; `stop` makes the wait under way, and every later one, raise Interrupted."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._by = ""

    def now(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        """Sleep, unless asked to stop."""
        if self._stop.wait(max(0.0, seconds)):
            raise Interrupted(self._by)

    def stop(self, by: str) -> None:
        """Ask whoever waits to stop; `by` says on whose behalf."""
        self._by = by
        self._stop.set()


@contextmanager
def stopped_by_signals(pace: RealPace) -> Iterator[None]:
    """SIGINT and SIGTERM stop the pace while this lasts, instead of killing the process."""

    def stop(number: int, _frame: FrameType | None) -> None:
        pace.stop(signal.Signals(number).name)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def wait_until(
    true: Callable[[], bool], within_s: float, pace: Pace, interval_s: float = 0.02
) -> bool:
    """Ask until it is true or the time is over; whether it became true. Raises Interrupted."""
    deadline = pace.now() + within_s
    while not true():
        if pace.now() >= deadline:
            return False
        pace.wait(interval_s)
    return True
