"""That both sides are the same before a cut-over, proved while writes go on.

The whole is verified by connections of its own, in a thread, while the tail goes on; each row that
the tail has touched since then is looked at again. What is left of those is for the hold: few.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from strangler_proxy.handover import parts
from strangler_proxy.handover.crossing import Crossing
from strangler_proxy.handover.databases.port import TableName
from strangler_proxy.handover.faults import HandoverFault, HandoverRefused
from strangler_proxy.handover.ports import VerifierPort
from strangler_proxy.handover.verify import Limits, Report

_IDLE_S = 0.02
_FEW = 200  # keys; what a hold may be asked to compare
_MANY = 5_000  # keys noted before they are compared, so that memory stays flat
_ROUNDS = 20


class Differs(HandoverFault):
    """The sides are not the same; the message lists the rows."""


class _Cancelled(Exception):
    """Nobody waits for this verification any more."""


@dataclass(slots=True)
class Proof:
    """The verifier of one cut-over, connected before the hold."""

    crossing: Crossing
    _verifier: VerifierPort
    rows: int = 0
    """Compared so far."""

    def __enter__(self) -> Self:
        self.crossing.notes.noting = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.crossing.notes.noting = False
        self.crossing.notes.take()
        self._verifier.close()

    def whole(self) -> None:
        """Verify everything, with the tail at work. HandoverRefused when rows differ."""
        cancelled = threading.Event()
        with ThreadPoolExecutor(1, "verify") as thread:
            asked = thread.submit(self._verify, cancelled)
            try:
                self._follow(asked)
            finally:
                cancelled.set()
        self._judge(asked.result())

    def few(self) -> None:
        """Compare what the tail has touched, until few rows are left. HandoverRefused as above."""
        for _ in range(_ROUNDS):
            self.crossing.step()
            if self.crossing.notes.noted <= _FEW:
                return
            self._compare()

    def rest(self) -> None:
        """Compare what is left, nobody writing. Differs when it is not the same."""
        report = self._verifier.verify_keys(self.crossing.changed())
        self.rows += report.rows
        if not report.agrees:
            raise Differs(str(report))

    def _follow(self, asked: "Future[Report]") -> None:
        while not asked.done():
            if not self.crossing.step().entries:
                wait([asked], _IDLE_S)
            if self.crossing.notes.noted > _MANY:
                self._compare()

    def _compare(self) -> None:
        pending = parts.waiting(self.crossing.capture, self.crossing.source)
        changed = self.crossing.changed()
        self._judge(self._verifier.verify_keys(changed, pending=pending, tail=self.crossing.step))

    def _judge(self, report: Report) -> None:
        """Rows whose changes still waited are noted when those are applied, and compared again."""
        self.rows += report.rows
        if not report.complete or report.total > report.stale:
            raise HandoverRefused(str(report))

    def _verify(self, cancelled: threading.Event) -> Report:
        way = self.crossing.way

        def progress(table: TableName, rows: int) -> None:
            if cancelled.is_set():
                raise _Cancelled

        with (
            closing(way.source.session()) as session,
            parts.verifier(way.pairs, way.source, way.target) as verifier,
        ):
            pending = parts.waiting(self.crossing.capture, session)
            return verifier.verify(way.pairs, pending=pending, progress=progress)


def begin(crossing: Crossing, statement_s: float) -> Proof:
    """Connect. A statement on few rows may take so long."""
    way = crossing.way
    limits = Limits(statement_s=statement_s)
    return Proof(crossing, parts.verifier(way.pairs, way.source, way.target, limits))


def caught_up(
    crossing: Crossing, small: int, whole_s: float, clock: Callable[[], float] = time.monotonic
) -> None:
    """Tail until a step has only a few entries; HandoverRefused when that takes too long."""
    deadline = clock() + whole_s
    while True:
        applied = crossing.step()
        if not applied.more and applied.entries <= small:
            return
        if clock() >= deadline:
            raise HandoverRefused(
                f"the tail did not catch up within {whole_s:g} s: writers are faster than it is"
            )
