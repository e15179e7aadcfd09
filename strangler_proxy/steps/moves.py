"""A move of data as a step uses it, over the commands `strangler data`.

Each command is a process of its own: it has settled what it began, or the next one will, whatever
becomes of the step. Ctrl-C at a terminal reaches both, and a cut-over then goes back. One that
changes something outlives a step that is killed, and no other begins until it has ended.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from strangler_proxy.handover.ledger import ledger_path
from strangler_proxy.handover.standing import Phase
from strangler_proxy.steps import orphans
from strangler_proxy.steps.step import Interrupted

LOOK_S = 60.0
WHOLE_S = 6 * 3600.0
_TOLD_TO_STOP, _LOCKED = 3, 4
_SHOWN = 1000
EXTRA = "extra"
CONTROL, CANDIDATE = "control", "candidate"


class MoveFailed(Exception):
    """The move cannot be looked at or gone on with; the message says why."""


class MoveBusy(MoveFailed):
    """Another command is at work on the move."""


@dataclass(frozen=True, slots=True)
class MoveState:
    """Where a move stands.

    runs            a mover is at work, or may stand aside for the command that has the turn
    owner           whose the tables are, control or candidate
    follows         all rows were copied, and changes are carried over
    oldest_s        the age of the oldest of `waiting` changes
    problems        what a person must settle
    unanswered      why not all was looked at now, which may pass by itself
    retired         its end was begun, and nothing leads back
    retiring        a command that ends it is at work
    cut_over_begun  one, in either direction, is neither done nor undone: it is not known which side
                    takes writes, and a mover settles it
    changing        a command of a step is at work on it, perhaps of one that was killed
    ended           why the last mover ended; None where it was killed
    """

    begun: bool
    runs: bool
    owner: str
    follows: bool
    rows: int
    estimated: int
    waiting: int
    oldest_s: float
    problems: tuple[str, ...] = ()
    unanswered: tuple[str, ...] = ()
    retired: bool = False
    retiring: bool = False
    cut_over_begun: bool = False
    changing: bool = False
    ended: str | None = None

    @property
    def alone(self) -> str | None:
        """That nobody carries the data over, and why; None while a mover is at work."""
        why = self.ended or "it was killed"
        return None if self.runs else f"nobody carries the data over; of the last run: {why}"


@dataclass(frozen=True, slots=True)
class Verified:
    """A comparison of all rows; `explained` of those that differ wait to be carried over.

    `only_extra`: all that differ are rows that the candidate alone has.
    """

    rows: int
    differ: int
    explained: int
    shown: tuple[str, ...] = ()
    only_extra: bool = False


@dataclass(frozen=True, slots=True)
class HandedOver:
    """How a cut-over or a rollback ended; `reason` is why it was undone, and `warnings` are left
    for a person.
    """

    done: bool
    reason: str = ""
    hold_ms: float = 0.0
    held: int = 0
    warnings: tuple[str, ...] = ()


class DataMove(Protocol):
    """One move. Every method raises MoveFailed, those that change it also MoveBusy."""

    @property
    def name(self) -> str:
        """Its name in the file of moves."""

    @property
    def start_command(self) -> tuple[str, ...]:
        """What carries its data over until it is told to stop."""

    def plan(self) -> None:
        """See that nothing stands against it; changes nothing."""

    def state(self) -> MoveState:
        """Where it stands now."""

    def verify(self) -> Verified:
        """Compare every row of both sides."""

    def repair(self) -> Verified:
        """Compare, and make the rows that differ as the owner has them; what differs then."""

    def hand_over(self, to: str) -> HandedOver:
        """Hand the writes over to that side, or leave everything as it was. Raises Interrupted."""

    def remove(self) -> None:
        """Take away what it has made in both databases."""

    def retire(self, drop_tables: bool) -> None:
        """Leave the control's tables behind for good; safe to repeat."""


def mover_runs(move: DataMove) -> str | None:
    """None while a mover is at work; otherwise what is known of that."""
    try:
        return None if move.state().runs else f"nobody carries the data of {move.name} over"
    except MoveFailed as fault:
        return str(fault)


@dataclass(frozen=True)
class MoveCommands:
    """See `DataMove`. `command` is how `strangler` is called, `environ` what its processes get."""

    name: str
    moves: Path
    config: Path
    environ: Mapping[str, str]
    command: tuple[str, ...] = (str(Path(sys.executable).parent / "strangler"),)
    ledgers: Path | None = None

    @property
    def start_command(self) -> tuple[str, ...]:
        """See `DataMove`."""
        return (*self._call("start"), "-c", str(self.config), "--json")

    def plan(self) -> None:
        """See `DataMove`."""
        self._run("plan", "-c", str(self.config))

    def state(self) -> MoveState:
        """See `DataMove`."""
        changing = orphans.at_work(self._lock)  # before what it may have changed is looked at
        told = self._run("status")
        tables, waiting = told["tables"], told["waiting"] or {}
        return MoveState(
            begun=told["begun_at"] is not None,
            runs=told["turn"] is not None or "(start, " in (told["running"] or ""),
            owner=told["owner"],
            follows=told["caught_up_at"] is not None,
            rows=sum(table["rows"] for table in tables),
            estimated=sum(table["estimated"] or 0 for table in tables),
            waiting=waiting.get("entries", 0),
            oldest_s=waiting.get("oldest_s") or 0.0,
            problems=(*told["problems"], *told["missing_triggers"], *told["schema_changed"]),
            unanswered=tuple(told["unanswered"]),
            retired=told["phase"] in (Phase.RETIREMENT, Phase.RETIRED),
            retiring=any("(retire, " in (told[at] or "") for at in ("running", "turn")),
            cut_over_begun=told["cut_over_begun"],
            changing=changing,
            ended=told["ended"],
        )

    def verify(self) -> Verified:
        """See `DataMove`."""
        return _verified(self._run("verify", "--show", str(_SHOWN), within_s=WHOLE_S))

    def repair(self) -> Verified:
        """See `DataMove`."""
        return _verified(self._change("verify", "--repair", within_s=WHOLE_S))

    def hand_over(self, to: str) -> HandedOver:
        """See `DataMove`."""
        command = "cutover" if to == CANDIDATE else "rollback"
        told = self._change(command, "--execute", "-c", str(self.config), within_s=WHOLE_S)
        if told["already"]:
            return HandedOver(True)
        return HandedOver(
            *(told["done"], told["reason"] or "", told["hold_ms"], told["held"]),
            tuple(told["warnings"]),
        )

    def remove(self) -> None:
        """See `DataMove`."""
        self._change("remove", "--yes")

    def retire(self, drop_tables: bool) -> None:
        """See `DataMove`."""
        drop = ("--drop-tables",) if drop_tables else ()
        self._change("retire", "--execute", "--yes", *drop, within_s=WHOLE_S)

    @property
    def _lock(self) -> Path:
        return ledger_path(self.moves, self.name, self.ledgers).with_name(f"{self.name}.command")

    def _call(self, command: str) -> tuple[str, ...]:
        where = ("--ledgers", str(self.ledgers)) if self.ledgers else ()
        return (*self.command, "data", *where, command, self.name, "-m", str(self.moves))

    def _change(self, command: str, *options: str, within_s: float = LOOK_S) -> dict[str, Any]:
        """See `_run`; of a command beside which no other may begin."""
        with orphans.alone(self._lock) as lock:
            if lock is None:
                raise MoveBusy(f"what an earlier run began is still at work on {self.name}")
            return self._run(command, *options, within_s=within_s, kept=(lock,))

    def _run(
        self, command: str, *options: str, within_s: float = LOOK_S, kept: Sequence[int] = ()
    ) -> dict[str, Any]:
        """What the command says last. A bad state, or rows that differ, are answers too.

        It has the descriptors `kept` for as long as it lives.
        """
        call = (*self._call(command), *options, "--json")
        try:
            ended = subprocess.run(
                call,
                env=dict(self.environ),
                pass_fds=kept,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=within_s,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as fault:
            raise MoveFailed(f"strangler data {command} {self.name}: {fault}") from fault
        told = _last_object(ended.stdout)
        if ended.returncode == _TOLD_TO_STOP:
            raise Interrupted(f"strangler data {command} {self.name} was told to stop")
        if told is None or ("problems" in told and "exit_code" in told):
            failed = MoveBusy if ended.returncode == _LOCKED else MoveFailed
            raise failed(self._why(command, told, ended.stderr))
        if told.get("checks") and not told["ok"]:
            raise MoveFailed("; ".join(told["problems"]))
        return told

    def _why(self, command: str, told: Mapping[str, Any] | None, stderr: str) -> str:
        said: Sequence[str] = told["problems"] if told else stderr.strip().splitlines()[-3:]
        return "; ".join(said) or f"strangler data {command} {self.name} said nothing"


def _verified(told: Mapping[str, Any]) -> Verified:
    found = told["differences"]
    shown = (f"{each['table']} {', '.join(each['key'])}: {each['what']}" for each in found[:3])
    return Verified(
        told["rows"],
        told["differ"],
        told["explained_by_waiting_changes"],
        tuple(shown),
        len(found) == told["differ"] and {each["what"] for each in found} == {EXTRA},
    )


def _last_object(text: str) -> dict[str, Any] | None:
    """The one JSON object that it is, or that its last line is."""
    for candidate in (text, text.strip().rpartition("\n")[2]):
        try:
            told = json.loads(candidate)
        except ValueError:
            continue
        if isinstance(told, dict):
            return told
    return None
