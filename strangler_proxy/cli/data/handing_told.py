"""What a cut-over or a rollback prints: for people, and as lines of JSON for programs.

While writers wait nothing may be kept from going on by a terminal that does not take what is
printed: steps are told to a thread, which prints them.
"""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from queue import SimpleQueue
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from strangler_proxy.handover.counted import counted

if TYPE_CHECKING:
    from strangler_proxy.handover.cutover import Outcome
    from strangler_proxy.handover.readiness import Check
    from strangler_proxy.handover.takeover import Takeover

_LAST_S = 2.0
STEPS = (
    ("installed", "what is missing of fences and capture is made"),
    ("caught up", "the tail comes near, while writes go on"),
    ("rehearsed", "requests wait for a moment: who writes meanwhile bypasses the proxies"),
    ("proved", "every row of both sides is compared, while writes go on"),
    ("numbered ahead", "the other side's new ids are put above those given so far"),
    ("held", "the routes' requests wait, and those sent before are answered"),
    ("fenced", "the owner's tables refuse every other writer, for a moment"),
    ("drained", "the last changes are carried over"),
    ("verified", "rows that changed since they were compared are compared again"),
    ("numbered", "ids are looked at once more"),
    ("decided", "the owner's tables are shut, if nobody has written since"),
    ("flipped", "every worker sends the routes to the other side"),
    ("opened", "the other side's tables take writes: from here on only forward"),
    ("released", "what waited is sent on, in order"),
    ("recorded", "the ledger says who owns the tables"),
)


class Telling:
    """Tells of steps and sentences as they come, by a thread of its own."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._console = Console()
        self._queue: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._print, name="telling", daemon=True)
        self._last = time.monotonic()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._queue.put(None)
        self._thread.join(_LAST_S)

    def said(self, sentence: str) -> None:
        """{"event": "said", "text"}."""
        self._queue.put({"event": "said", "text": sentence})

    def ended(self, step: str) -> None:
        """{"event": "step", "step", "seconds"} for a step that has ended."""
        now = time.monotonic()
        took_s, self._last = now - self._last, now
        self._queue.put({"event": "step", "step": step, "seconds": round(took_s, 4)})

    def _print(self) -> None:
        while (told := self._queue.get()) is not None:
            with suppress(OSError):  # who reads it has gone
                self._line(told)

    def _line(self, told: dict[str, Any]) -> None:
        if self._as_json:
            text = json.dumps(told)
        elif told["event"] == "said":
            text = told["text"]
        else:
            text = f"  {told['step']:<16}{told['seconds'] * 1000:>9,.0f} ms"
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
        self._console.file.flush()


def plan_as_json(takeover: "Takeover", checks: "Sequence[Check]") -> dict[str, Any]:
    """{"ok", "move", "command", "to", "checks": [{"what", "good", "says"}], "problems", …}."""
    return {
        "ok": all(check.good for check in checks),
        "move": takeover.move.name,
        "command": takeover.command,
        "to": str(takeover.to),
        "routes": list(takeover.move.routes),
        "proxies": [proxy.name for proxy in takeover.proxies],
        "steps": [step for step, _ in STEPS],
        "hold_s": takeover.wishes.hold_s,
        "checks": [
            {"what": check.what, "good": check.good, "says": check.says} for check in checks
        ],
        "problems": [check.says for check in checks if not check.good],
    }


def plan_shown(takeover: "Takeover", checks: "Sequence[Check]") -> Iterator[Any]:
    """What would be done, and every check."""
    to, ends = takeover.to, takeover.ends
    places = {"control": ends.source.shown, "candidate": ends.target.shown}
    yield escape(
        f"{takeover.move.name}: writes go from the {to.other} ({places[to.other]}) to the {to} "
        f"({places[to]})"
    )
    proxies = ", ".join(proxy.name for proxy in takeover.proxies)
    yield escape(
        f"routes {', '.join(takeover.move.routes)} at {proxies} wait for at most "
        f"{takeover.wishes.hold_s:g} s"
    )
    steps = _table("step", "")
    for step, words in STEPS:
        steps.add_row(step, escape(words))
    yield steps
    looked = _table("", "looked at", "")
    for check in checks:
        mark = "[green]good[/green]" if check.good else "[red]bad[/red]"
        looked.add_row(mark, check.what, escape(check.says))
    yield looked
    if all(check.good for check in checks):
        yield escape(
            "ready; nothing was changed. Do it with:  "
            f"strangler data {takeover.command} {takeover.move.name} --execute"
        )
    else:
        yield "not ready; nothing was changed"


def handed_as_json(takeover: "Takeover", handed: "Outcome | None") -> dict[str, Any]:
    """The last line: {"event": "end", "done", "already", "owner", "reason", "hold_ms", …}."""
    told: dict[str, Any] = {
        "event": "end",
        "move": takeover.move.name,
        "command": takeover.command,
        "done": handed is None or handed.done,
        "already": handed is None,
        "owner": str(takeover.to if handed is None else handed.owner),
    }
    if handed is not None:
        told |= {
            "reason": handed.reason,
            "hold_ms": round(handed.hold_s * 1000, 1),
            "held": handed.held,
            "drained": handed.drained,
            "compared": handed.compared,
            "steps_s": {step: round(seconds, 4) for step, seconds in handed.steps_s.items()},
            "warnings": list(handed.warnings),
        }
    return told


def handed_lines(takeover: "Takeover", handed: "Outcome | None") -> Iterator[str]:
    """How it ended, in sentences; warnings before the last."""
    name = takeover.move.name
    if handed is None:
        yield escape(f"the {takeover.to} owns the tables of {name} already: nothing was done")
        return
    if handed.hold_s:
        drained = counted(handed.drained, "change was", "changes were")
        yield escape(
            f"writers waited {handed.hold_s * 1000:,.0f} ms, {counted(handed.held, 'request')} of "
            f"them; meanwhile {drained} carried over, {counted(handed.compared)} compared"
        )
    for warning in handed.warnings:
        yield escape(f"note: {warning}")
    if handed.done:
        yield escape(
            f"done: the {handed.owner} owns the tables of {name}; keep `strangler data start "
            f"{name}` running, it carries changes to the other side"
        )
    else:
        yield escape(f"undone: the {handed.owner} keeps the tables of {name}: {handed.reason}")


def _table(*headers: str) -> Table:
    return Table(*(Column(header, overflow="fold") for header in headers))
