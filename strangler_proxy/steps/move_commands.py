"""A move of data over the commands `strangler data`, whose JSON this alone reads.

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
from typing import Any

from strangler_proxy.handover.ledger import ledger_path
from strangler_proxy.handover.standing import Phase
from strangler_proxy.steps import orphans
from strangler_proxy.steps.moves import (
    CANDIDATE,
    HandedOver,
    MoveBusy,
    MoveFailed,
    MoveState,
    Verified,
)
from strangler_proxy.steps.step import Interrupted

LOOK_S = 60.0
WHOLE_S = 6 * 3600.0
_TOLD_TO_STOP, _LOCKED = 3, 4
_SHOWN = 1000
EXTRA = "extra"


@dataclass(frozen=True)
class MoveCommands:
    """A `DataMove`. `command` is how `strangler` is called, `environ` what its processes get.

    A look may take `look_s`; what reads whole tables, or carries rows over, `whole_s`.
    """

    name: str
    moves: Path
    config: Path
    environ: Mapping[str, str]
    command: tuple[str, ...] = (str(Path(sys.executable).parent / "strangler"),)
    ledgers: Path | None = None
    look_s: float = LOOK_S
    whole_s: float = WHOLE_S

    @property
    def start_command(self) -> tuple[str, ...]:
        """See `DataMove`."""
        return (*self._call("start"), "-c", str(self.config), "--json")

    def plan(self) -> None:
        """See `DataMove`."""
        self._run("plan", "-c", str(self.config), within_s=self.whole_s)

    def state(self) -> MoveState:
        """See `DataMove`."""
        changing = orphans.at_work(self._lock)  # before what it may have changed is looked at
        told = self._run("status", within_s=self.look_s)
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
        return _verified(self._run("verify", "--show", str(_SHOWN), within_s=self.whole_s))

    def repair(self) -> Verified:
        """See `DataMove`."""
        return _verified(self._change("verify", "--repair", within_s=self.whole_s))

    def hand_over(self, to: str) -> HandedOver:
        """See `DataMove`."""
        command = "cutover" if to == CANDIDATE else "rollback"
        told = self._change(command, "--execute", "-c", str(self.config), within_s=self.whole_s)
        if told["already"]:
            return HandedOver(True)
        return HandedOver(
            *(told["done"], told["reason"] or "", told["hold_ms"], told["held"]),
            tuple(told["warnings"]),
        )

    def remove(self) -> None:
        """See `DataMove`."""
        self._change("remove", "--yes", within_s=self.look_s)

    def retire(self, drop_tables: bool) -> None:
        """See `DataMove`."""
        drop = ("--drop-tables",) if drop_tables else ()
        self._change("retire", "--execute", "--yes", *drop, within_s=self.whole_s)

    @property
    def _lock(self) -> Path:
        return ledger_path(self.moves, self.name, self.ledgers).with_name(f"{self.name}.command")

    def _call(self, command: str) -> tuple[str, ...]:
        where = ("--ledgers", str(self.ledgers)) if self.ledgers else ()
        return (*self.command, "data", *where, command, self.name, "-m", str(self.moves))

    def _change(self, command: str, *options: str, within_s: float) -> dict[str, Any]:
        """See `_run`; of a command beside which no other may begin."""
        with orphans.alone(self._lock) as lock:
            if lock is None:
                raise MoveBusy(f"what an earlier run began is still at work on {self.name}")
            return self._run(command, *options, within_s=within_s, kept=(lock,))

    def _run(
        self, command: str, *options: str, within_s: float, kept: Sequence[int] = ()
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
