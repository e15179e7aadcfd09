"""What the commands about data print: for people, and as JSON for programs."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from strangler_proxy.handover.counted import counted
from strangler_proxy.handover.progress import Advance, Bars

if TYPE_CHECKING:
    from strangler_proxy.handover.databases.port import TableName
    from strangler_proxy.handover.plan import Plan
    from strangler_proxy.handover.run import Lag
    from strangler_proxy.handover.status import Status
    from strangler_proxy.handover.verify import Difference, Report
    from strangler_proxy.handover.verify.verify import Progress


class ForPeople:
    """A run as people follow it: bars while tables are copied, then a line now and then."""

    def __init__(self) -> None:
        self._console = Console()
        self._open = ExitStack()
        self._bars: Bars | None = None
        self._last: Lag | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def said(self, sentence: str) -> None:
        """A line of its own; bars stay below it."""
        self._console.print(sentence, markup=False, highlight=False, soft_wrap=True)

    def copied(self, advance: Advance) -> None:
        """A bar that moves, or a line for a table that is done."""
        if self._bars is None:
            self._bars = self._open.enter_context(Bars(self._console))
        self._bars(advance)

    def behind(self, lag: "Lag") -> None:
        """How far the tail is, where that has changed."""
        self._open.close()
        if lag != self._last:
            self.said(_lag(lag))
        self._last = lag


class ForPrograms:
    """A run as lines of JSON; `event` says what each is."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def said(self, sentence: str) -> None:
        """{"event": "said", "text"}."""
        typer.echo(json.dumps({"event": "said", "text": sentence}))

    def copied(self, advance: Advance) -> None:
        """{"event": "copied", ...} with the fields of an advance."""
        typer.echo(json.dumps({"event": "copied", **asdict(advance)}))

    def behind(self, lag: "Lag") -> None:
        """{"event": "lag", "entries", "oldest_s", "applied"}."""
        typer.echo(json.dumps({"event": "lag", **asdict(lag)}))


@contextmanager
def counting() -> Iterator["Progress | None"]:
    """On a terminal, a line that counts the rows compared; nothing elsewhere."""
    console, rows = Console(stderr=True), Counter[str]()
    if not console.is_terminal:
        yield None
        return
    with console.status("comparing both sides") as status:

        def looked_at(table: "TableName", more: int) -> None:
            rows[str(table)] += more
            status.update(escape(f"{table}: {counted(rows[str(table)])} compared"))

        yield looked_at


def plan_table(plan: "Plan") -> Table:
    """A row for each table, a line in it for each column."""
    table = _table("table", "to", "rows, about", "key", "columns", "as")
    for each in plan.tables:
        columns = "\n".join(
            column.target
            if column.source == column.target
            else f"{column.target} = {column.source}"
            for column in each.columns
        )
        kinds = "\n".join(column.kind for column in each.columns)
        rows = "not known" if each.rows is None else f"{each.rows:,}"
        cells = (each.source, each.target, rows, ", ".join(each.key), columns, kinds)
        table.add_row(*map(escape, cells))
    return table


def _table(*headers: str) -> Table:
    """With names whole, however narrow the terminal is."""
    return Table(*(Column(header, overflow="fold") for header in headers))


def plan_lines(plan: "Plan") -> list[str]:
    """From where, to where, and what would be created."""
    lines = [f"{plan.move}: {plan.source} -> {plan.target}"]
    if plan.routes:
        lines.append(f"written by the routes {', '.join(plan.routes)}")
    for side, where, made in (
        ("source", plan.source, plan.source_creates),
        ("target", plan.target, plan.target_creates),
    ):
        told = ", ".join(made) or "nothing more: it is there"
        lines.append(f"to be created at the {side} ({where}): {told}")
    lines += [f"no cut-over yet: {warning}" for warning in plan.warnings]
    return lines


def status_as_json(status: "Status") -> dict[str, Any]:
    """All of a status; times are ISO 8601, ages are seconds."""
    told = asdict(status)
    stands, owned = told.pop("standing"), told.pop("owned")
    begun = stands.pop("begun") or {}
    stands["begun_at"] = begun.get("at")
    follows = {
        "owner": str(status.owned.owner),
        "follower": str(status.owned.owner.other),
        "cut_over_begun": owned["intent"],
        "cut_overs": owned["cut_overs"],
        "last_undone": owned["ended"],
    }
    return {"phase": str(status.standing.phase), **stands, **follows, **told, "well": status.well}


def status_table(status: "Status") -> Table:
    """A row for each table: rows copied of how many."""
    table = _table("table", "to", "rows copied", "of about", "first copy")
    for each in status.tables:
        of = "not known" if each.estimated is None else f"{each.estimated:,}"
        state = "done" if each.done else ("under way" if each.rows else "not begun")
        cells = (each.source, each.target, f"{each.rows:,}", of, state)
        table.add_row(*map(escape, cells))
    return table


def status_lines(status: "Status") -> list[str]:
    """Everything beside the tables, problems last."""
    stands = status.standing
    since = f" (begun {stands.begun.at})" if stands.begun else ""
    lines = [f"{status.move}: {stands.phase}{since}", f"running now: {status.running or 'nobody'}"]
    if stands.begun and not status.running:
        lines.append(f"the last run: {stands.ended or 'was killed'}")
    lines += _ownership(status)
    if status.waiting:
        age_s = status.waiting.oldest_s
        age = "" if age_s is None else f", the oldest for {age_s:.1f} s"
        way = f"{status.owned.owner} to {status.owned.owner.other}"
        lines.append(f"changes that wait, {way}: {status.waiting.entries:,}{age}")
    if stands.captured_at:
        lines += status.missing_triggers or ["capture: every trigger is there"]
    if stands.begun and status.tables:
        lines += status.schema_changed or ["tables: as they were when the move was begun"]
    lines.append(f"verified: {_verified(status.verified)}")
    return [*lines, *status.unanswered, *status.problems]


def _ownership(status: "Status") -> Iterator[str]:
    owned = status.owned
    times = {0: "never handed over", 1: "handed over once"}
    told = times.get(owned.cut_overs, f"handed over {owned.cut_overs} times")
    yield f"owner: the {owned.owner} ({told})"
    if owned.ended:
        yield f"the last cut-over was undone: {owned.ended}"
    if status.fences:
        told = ", ".join(f"the {side}'s tables {state}" for side, state in status.fences.items())
        yield f"fences: {told}"


def report_as_json(report: "Report") -> dict[str, Any]:
    """A verification; values as canonical text, None: NULL."""
    return {
        "agrees": report.agrees,
        "rows": report.rows,
        "differ": report.total,
        "explained_by_waiting_changes": report.stale,
        "rechecked": report.rechecked,
        "complete": report.complete,
        "seconds": round(report.seconds, 3),
        "differences": [_difference(each) for each in report.differences],
    }


def _difference(each: "Difference") -> dict[str, Any]:
    return {
        "table": str(each.table),
        "to": str(each.to),
        "key": [str(value) for value in each.key],
        "what": each.what,
        "explained_by_waiting_changes": each.stale,
        "columns": list(each.columns),
        "differing": [each.columns[place] for place in each.unlike],
        "source": _texts(each.source),
        "target": _texts(each.target),
    }


def _texts(texts: Sequence[str | None] | None) -> list[str | None] | None:
    return None if texts is None else list(texts)


def _verified(told: Mapping[str, Any] | None) -> str:
    if told is None:
        return "never"
    agreed = told.get("agrees")
    what = "both sides agreed" if agreed else f"{counted(told.get('differ', 0))} differed"
    return f"{told.get('at')}: {what} ({counted(told.get('rows', 0))})"


def _lag(lag: "Lag") -> str:
    waits = counted(lag.entries, "change waits", "changes wait")
    if lag.entries:
        waits += f", the oldest for {lag.oldest_s:.1f} s"
    return f"{waits}; {lag.applied:,} carried over"
