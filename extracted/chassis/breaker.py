"""Leaves a service alone that has failed several times in a row, then lets one call probe it.

The states and the counting are pybreaker's. Its `call` holds the breaker's lock for as long as the
call takes, which would make all threads wait for one slow answer, and it reads the wall clock. So
calls are made outside of it and only their outcomes handed in, and time is that of `clock`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import pybreaker

from extracted.chassis.unavailable import BreakerOpenError

log = logging.getLogger(__name__)

# How soon to come back is not known while a probe is out; its answer may come at any moment.
PROBING_S = 1.0


class Breaker:
    """The state of one service as this process sees it; for any number of threads.

    Opens after `failures` in a row, for `open_s` seconds; then one call at a time may probe, and
    while it does the others are refused. What began before the last change of state says nothing
    about the present one and is not counted.
    """

    def __init__(
        self,
        service: str,
        *,
        failures: int = 5,
        open_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._service = service
        self._open_s = open_s
        self._clock = clock
        self._lock = threading.Lock()
        self._machine = pybreaker.CircuitBreaker(failures, open_s, throw_new_error_on_trip=False)
        self._opened_at = 0.0
        self._probing = False
        self._era = 0  # one more with each change of state

    @property
    def state(self) -> str:
        """`closed`, `open` or `half-open`."""
        return self._machine.current_state

    def admit(self) -> int:
        """Let one call through, which must `report` with the number given.

        Raises BreakerOpenError while the breaker is open, and while another call probes.
        """
        with self._lock:
            if self.state == pybreaker.STATE_OPEN:
                left_s = self._opened_at + self._open_s - self._clock()
                if left_s > 0:
                    raise BreakerOpenError(self._service, left_s)
                self._machine.half_open()
                self._era += 1
            if self.state == pybreaker.STATE_HALF_OPEN:
                if self._probing:
                    raise BreakerOpenError(self._service, PROBING_S)
                self._probing = True
            return self._era

    def report(self, admitted: int, failed: bool | None) -> None:
        """Say how an admitted call went; None when it says nothing about the service."""
        with self._lock:
            before = self.state
            if admitted != self._era:
                return
            self._probing = False
            if failed is None:
                return
            with suppress(_FailedCall):
                self._machine.call(_fail if failed else _succeed)
            after = self.state
            if after != before:
                self._era += 1
                self._opened_at = self._clock()
        if after != before:
            self._tell(after)

    def _tell(self, state: str) -> None:
        if state == pybreaker.STATE_OPEN:
            log.warning("%s keeps failing; left alone for %g s", self._service, self._open_s)
        else:
            log.info("%s answers again", self._service)


class _FailedCall(Exception):
    pass


def _fail() -> None:
    raise _FailedCall


def _succeed() -> None:
    return
