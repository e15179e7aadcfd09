"""Starts again what the steps have moved out and what has ended by itself, after a growing pause.

Routes, seams and ledgers say at every look what has to run, so that what a step starts later is
watched too, and what its undo has stopped is left stopped. What belongs to a step that is at work
is that step's business. Nothing here gives up: pauses grow to LONGEST_PAUSE_S.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from scripts import moved
from scripts.local_site.site import UNREADABLE
from scripts.processes import last_lines
from strangler_proxy.steps.parts import StartProcess
from strangler_proxy.steps.step import Pace, PartFailed

LONGEST_PAUSE_S = 60.0
STEADY_S = 60.0  # who has lived so long since its last start is well again
LINES = 3


class Act(Enum):
    """What to do about one program now."""

    NOTHING = auto()
    TELL = auto()
    START = auto()


@dataclass(frozen=True, slots=True)
class Care:
    """How often a program was started again lately, when last, and when it may be next.

    `due` is None while it is not known to have ended. Times are the clock's.
    """

    tries: int = 0
    last: float = 0.0
    due: float | None = None


def pause_s(tries: int) -> float:
    """How long to wait before the next start, after so many of late."""
    return float(min(LONGEST_PAUSE_S, 2.0 ** min(tries, 10)))


def attend(care: Care, *, ended: bool, wanted: bool, now: float) -> tuple[Act, Care]:
    """Decide what to do about a program, and what to remember of it. Pure.

    After START the caller says `tried`.
    """
    if not wanted:
        return Act.NOTHING, Care()
    if not ended:
        steady = now - care.last >= STEADY_S
        return Act.NOTHING, Care() if steady else replace(care, due=None)
    if care.due is None:
        return Act.TELL, replace(care, due=now + pause_s(care.tries))
    return (Act.START if now >= care.due else Act.NOTHING), care


def tried(care: Care, now: float) -> Care:
    """What to remember after a start, whether it went well or not."""
    return Care(care.tries + 1, now, now + pause_s(care.tries + 1))


@dataclass
class Keeper:
    """Looks after programs, one look at a time.

    `look` says what has to run, raising one of UNREADABLE; `pace` is waited by while one starts.
    """

    look: Callable[[], moved.View]
    say: Callable[[str], None]
    pace: Pace
    clock: Callable[[], float] = time.monotonic
    _watched: dict[str, StartProcess] = field(default_factory=dict)
    _care: dict[str, Care] = field(default_factory=dict)
    _doubted: dict[str, StartProcess] = field(default_factory=dict)
    _trouble: str = ""

    def tick(self) -> None:
        """Look once, and start what is due. Raises what `pace` does."""
        # First who has ended, then what is needed: who was stopped on purpose is needed no more.
        ended = {name for name, part in self._watched.items() if part.pid() is None}
        try:
            view = self.look()
        except UNREADABLE as wrong:
            self._told_once(f"up: what the steps have moved is not watched: {wrong}")
            return
        self._told_once("")
        needed = {part.service: part for part in view.needed}
        self._stop_doubted(needed, view.in_hand)
        self._care = {name: care for name, care in self._care.items() if name in needed}
        for name, part in needed.items():
            self._attend(part, name in ended, name not in view.in_hand)
        self._watched = needed

    def _attend(self, part: StartProcess, ended: bool, free: bool) -> None:
        name, now = part.service, self.clock()
        act, care = attend(self._care.get(name, Care()), ended=ended, wanted=free, now=now)
        self._care[name] = care
        if act is Act.TELL:
            self.say(
                f"{name} has ended by itself and is started again in {pause_s(care.tries):g} s."
                f" The end of {part.log}:\n{_indented(last_lines(part.log, LINES))}"
            )
        elif act is Act.START:
            self._start(part, care)
            self._care[name] = tried(care, self.clock())

    def _start(self, part: StartProcess, care: Care) -> None:
        if moved.well(part):
            if care.tries == 0 and part.pid() is None:
                self.say(f"{part.service} answers, but not from here: it is left alone")
            return
        if not self._wanted(part.service):
            return  # a step has begun while this was asked, or while another was started
        self._doubted[part.service] = part
        try:
            part.execute({}, self.pace)
            self.say(f"{part.service} runs again")
        except PartFailed as failed:
            self.say(f"up: {failed}; tried again in {pause_s(care.tries + 1):g} s")

    def _wanted(self, name: str) -> bool:
        try:
            view = self.look()
        except UNREADABLE:
            return False
        return name not in view.in_hand and any(part.service == name for part in view.needed)

    def _stop_doubted(self, needed: dict[str, StartProcess], in_hand: frozenset[str]) -> None:
        """Stop what was started in the very moment when a step's undo made it needless."""
        for name in [name for name in self._doubted if name not in in_hand]:
            part = self._doubted.pop(name)
            if name not in needed and part.pid() is not None:
                self.say(f"stopping {name} again, which has just become needless")
                try:
                    part.undo({}, self.pace)
                except PartFailed as failed:
                    self.say(f"up: {failed}")

    def _told_once(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            self.say(trouble)
        self._trouble = trouble


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
