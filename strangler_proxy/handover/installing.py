"""Make triggers, and drop them, while writers are at work.

Each is made by itself and waits only a moment for writers, who would queue up behind it; then it
lets them through and tries again. Killed in between, the same is run again.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from strangler_proxy.handover.databases.port import Session, TableName
from strangler_proxy.handover.databases.triggers import Installed, Trigger
from strangler_proxy.handover.faults import LockBusy


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a trigger waits for writers, lets them through, and in all."""

    lock_s: float = 1.0
    pause_s: float = 1.0
    whole_s: float = 60.0


PATIENCE = Patience()


class Lack(NamedTuple):
    """A trigger that does not do its work; as text it is a sentence."""

    table: TableName
    trigger: str
    switched_off: bool

    def __str__(self) -> str:
        state = "is switched off" if self.switched_off else "is not there"
        return f"{self.table}: the trigger {self.trigger} {state}"


def lacking(wanted: Sequence[Trigger], installed: Sequence[Installed]) -> tuple[Lack, ...]:
    """Those wanted that are not there or do not fire for everybody."""
    there = {each.name: each.fires for each in installed}
    return tuple(
        Lack(trigger.table, trigger.name, trigger.name in there)
        for trigger in wanted
        if not there.get(trigger.name)
    )


class Retry:
    """Do something again while writers are in its way, with pauses in which they go on.

    Raises their LockBusy once `patience.whole_s` have passed since it was made.
    """

    def __init__(
        self, patience: Patience, clock: Callable[[], float], pause: Callable[[float], None]
    ) -> None:
        self._patience, self._clock, self._pause = patience, clock, pause
        self._deadline = clock() + patience.whole_s

    def __call__(self, act: Callable[[], None]) -> None:
        """Until it succeeds."""
        while True:
            try:
                return act()
            except LockBusy:
                if self._clock() + self._patience.pause_s > self._deadline:
                    raise
            self._pause(self._patience.pause_s)


class Installer:
    """What is made and dropped over one session; `transactional`: whether DDL rolls back there."""

    def __init__(
        self,
        session: Session,
        transactional: bool,
        patience: Patience = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._session = session
        self._transactional = transactional
        self.retry = Retry(patience, clock, pause)

    def run(self, statements: Sequence[str]) -> None:
        """All of these; again while writers are in the way."""
        self.retry(partial(self.once, statements))

    def once(self, statements: Sequence[str]) -> None:
        """All of these, in one transaction where that can be."""
        if not self._transactional:
            for statement in statements:
                self._session.define(statement)
            return
        with self._session.transaction():
            for statement in statements:
                self._session.execute(statement)

    def fit(
        self, wanted: Sequence[Trigger], installed: Callable[[Session], Sequence[Installed]]
    ) -> None:
        """Make those that are lacking, then drop those of an earlier definition."""
        lack = {each.trigger for each in lacking(wanted, installed(self._session))}
        for trigger in wanted:
            if trigger.name in lack:
                self.run(trigger.create)
        self.drop(installed(self._session), {trigger.name for trigger in wanted})

    def drop(self, installed: Sequence[Installed], keep: Collection[str] = ()) -> None:
        """Drop the triggers that are not to be kept."""
        for each in installed:
            if each.name not in keep:
                self.run(each.drop)
