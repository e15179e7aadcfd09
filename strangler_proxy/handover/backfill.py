"""The first copy of a move's tables, made while they are written to.

Each table is read in pages of its key's order. A page and the checkpoint that speaks of it commit
in one transaction at the target, so the mover may be killed at any moment and be run again: no row
is lost and none comes twice. One thread reads ahead while another writes; a fault on either side
ends both, with the last checkpoint in place.

What this relies on, and what it leaves to others:

- Capture is in place before the first page is read. A page is as old as its reading; whatever
  changes afterwards, or between two pages, is among the captured changes, and the tail, which runs
  only after the backfill, makes it right. So rows behind the highest key that a table had when its
  copy began are left to it too.
- A row may be refused because of another row: its parent was written after the parents' table had
  been copied (parents are copied first, and references are checked only where the target leaves
  no choice), or an older copy holds its value of a unique column. Both tables agreed when capture
  began, so one of the two rows has changed since, and a row that refers to a new one has changed
  itself. So the row is given to `later`, which enters its key among the captured changes, and the
  copy goes on. A clash that is real is one for the tail, which fails aloud.
- Any other refusal (no room for a value, a value of another kind) ends the backfill and names the
  row: HandoverRefused.
- A target table that was empty when its copy began takes plain inserts; another is merged into,
  row by row of the same key. Rows that only the target has are not seen here: verify sees them.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from strangler_proxy.handover import parts
from strangler_proxy.handover.databases.port import Database, Kind, Pair, Row, Session, Side
from strangler_proxy.handover.faults import Clash, HandoverRefused
from strangler_proxy.handover.loading.ahead import ahead
from strangler_proxy.handover.loading.batch import Batch, shown
from strangler_proxy.handover.loading.checkpoint import Checkpoint
from strangler_proxy.handover.loading.estimate import estimate
from strangler_proxy.handover.loading.means import Means, Progressing
from strangler_proxy.handover.loading.refusal import is_refusal
from strangler_proxy.handover.loading.targets import Target
from strangler_proxy.handover.pages import Cursor, PageSize
from strangler_proxy.handover.progress import Advance, Meter, Report
from strangler_proxy.handover.throttle import Pace, Patience

Later = Callable[[Pair, Row], None]
"""Enters a row's raw key among the captured changes; durable when it returns."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How hard a backfill may work: `budget_s` is what a page may take on either side."""

    budget_s: float = 0.5
    rows_per_s: float | None = None
    patience: Patience = field(default_factory=Patience)
    statement_s: float = 60.0
    most_left: int = 100_000
    """Rows of a table that may be left to the tail because of a clash."""


def backfill(
    pairs: Sequence[Pair],
    source: Database,
    target: Database,
    move: str,
    later: Later,
    report: Report = lambda _: None,
    limits: Limits = Limits(),
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Copy what is not copied yet of these tables, in this order: parents first.

    `report` is told of every page, in the caller's thread. Only one mover may run at a time: the
    caller has claimed the move. Raises HandoverFault in its kinds, and what `later` and `report`
    raise; whatever is raised, running it again goes on from the last page.
    """
    with closing(target.session(move, limits.statement_s)) as session:
        means = parts.means(pairs, session, move)
        checkpoints = means.checkpoints()
        for pair in means.pairs():
            checkpoint = checkpoints.begin(pair)
            if not checkpoint.done:
                copy = _Copy(
                    pair, source, session, means, checkpoints, later, report, limits, clock
                )
                copy.run(checkpoint)


@dataclass(slots=True)
class _Copy:
    """The copy of one table. `size` is set by the thread that writes, for the one that reads."""

    pair: Pair
    source: Database
    session: Session
    means: Means
    checkpoints: Progressing
    later: Later
    report: Report
    limits: Limits
    clock: Callable[[], float]
    size: PageSize = field(init=False)

    def run(self, checkpoint: Checkpoint) -> None:
        self.size = PageSize(self.limits.budget_s)
        writer = _Writer(self, checkpoint.plain)
        name = str(self.pair.source.table.name)
        meter = Meter(name, None, checkpoint.rows, self.clock())
        with ahead(lambda stop: self._pages(checkpoint.after, stop)) as found:
            for item in found:
                if isinstance(item, Advance):
                    meter.total = item.total
                    self.report(meter.advance(waiting=item.waiting))
                    continue
                started = self.clock()
                writer.put(item)
                now = self.clock()
                slower = max(now - started, item.read_s)
                self.size = self.size.after(len(item), slower, item.weight)
                self.report(meter.add(len(item), now))
        self.checkpoints.finish(self.pair)
        self.report(meter.advance(done=True))

    def _pages(self, after: Row | None, stop: threading.Event) -> Iterator[Batch | Advance]:
        """Pages in order until the table ends; before them, and in pauses, what is to be told."""
        table = self.pair.source.table
        with closing(self.source.session(None, self.limits.statement_s)) as session:
            told = Advance(str(table.name), 0, estimate(session, table), None, None)
            yield told
            source = self.means.source(session, self.pair)
            cursor = Cursor(str(table.name), after)
            pace = Pace(self.limits.rows_per_s)
            end = _end(session, self.pair.source)
            complete = False
            while not complete and not stop.is_set():
                yield from self._pause(pace, told, stop)
                rows = min(self.size.rows, pace.most_rows(self.limits.budget_s) or self.size.rows)
                batch = source.page(cursor.key, rows)
                complete = batch.complete
                if len(batch):
                    cursor = cursor.advanced(batch.first, batch.last)
                    complete = complete or (end is not None and batch.last >= end)
                    pace = pace.after(len(batch), self.clock())
                    yield batch
                elif not complete:
                    raise HandoverRefused(f"table {table.name}: a page came without rows")

    def _pause(self, pace: Pace, told: Advance, stop: threading.Event) -> Iterator[Advance]:
        stop.wait(pace.wait_s(self.clock()))
        began = self.clock()
        while not stop.is_set() and (nap_s := self.limits.patience.nap_s(self.clock() - began)):
            yield Advance(told.table, 0, told.total, None, None, waiting=True)
            stop.wait(nap_s)


def _end(session: Session, side: Side) -> Row | None:
    """The highest key for now, so that a table that grows as fast as it is copied has an end.

    Only of whole numbers, which grow and which are compared here as there; None otherwise.
    """
    if any(cell.kind != Kind.INTEGER for cell in side.key_cells):
        return None
    dialect = session.dialect
    key = [cell.sql for cell in side.key_cells]
    order = ", ".join(f"{column} DESC" for column in key)
    table = dialect.table(side.table.name)
    found = session.rows(f"SELECT {', '.join(key)} FROM {table} ORDER BY {order} LIMIT 1")  # noqa: S608
    # SQLite may keep a text there, which its page refuses with a sentence.
    whole = found and all(isinstance(value, int) for value in found[0])
    return found[0] if whole else None


@dataclass(slots=True)
class _Writer:
    """Puts pages in place, each with its checkpoint."""

    copy: _Copy
    plain: bool
    left: int = field(default=0, init=False)
    target: Target = field(init=False)

    def __post_init__(self) -> None:
        self.target = self.copy.means.target(self.copy.pair)

    def put(self, batch: Batch) -> None:
        """The whole page; where the target refuses it, by ever smaller parts down to the row."""
        if not (self.plain and self._tried(self.target.load, batch) is None):
            self._merge(batch)

    def _merge(self, batch: Batch) -> None:
        fault = self._tried(self.target.merge, batch)
        if fault is None:
            return
        if len(batch) > 1:
            for half in batch.halves():
                self._merge(half)
            return
        self.left += 1
        if not isinstance(fault, Clash) or self.left > self.copy.limits.most_left:
            raise HandoverRefused(self._sentence(batch.last, fault)) from fault
        self.copy.later(self.copy.pair, batch.last)
        with self.copy.session.transaction():
            self.copy.checkpoints.advance(self.copy.pair, batch.last, 1)

    def _sentence(self, key: Row, fault: Exception) -> str:
        row = f"table {self.copy.pair.source.table.name}, row {shown(key)}: {_first_line(fault)}"
        if self.left > self.copy.limits.most_left:
            # So many are no effect of concurrent changes but a constraint that the source has not.
            return f"{row}; {self.copy.limits.most_left} rows before it were refused as well"
        return row

    def _tried(self, put: Callable[[Sequence[bytes]], None], batch: Batch) -> Exception | None:
        try:
            with self.copy.session.transaction():
                put(batch.lines)
                self.copy.checkpoints.advance(self.copy.pair, batch.last, len(batch))
        except Exception as fault:
            if not is_refusal(fault):
                raise
            return fault
        return None


def _first_line(fault: Exception) -> str:
    return str(fault).strip().partition("\n")[0]
