"""Triggers are made one by one, between writers, and those of an earlier definition go last."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from strangler_proxy.handover.databases.port import TableName
from strangler_proxy.handover.databases.triggers import Installed, Trigger
from strangler_proxy.handover.faults import LockBusy
from strangler_proxy.handover.installing import Installer, Patience, lacking

POSTS = TableName(None, "posts")
WANTED = [Trigger(name, POSTS, (f"make {name}",)) for name in ("new", "kept", "off")]
PATIENCE = Patience(lock_s=1.0, pause_s=2.0, whole_s=5.0)


class Tables:
    """A session at whose tables writers are busy for the first `busy` statements."""

    def __init__(self, busy: int = 0) -> None:
        self.busy = busy
        self.done: list[str] = []
        self.time = 0.0
        self.installed = [
            Installed("old", True, ("drop old",)),
            Installed("kept", True, ("drop kept",)),
            Installed("off", False, ("drop off",)),
        ]

    def execute(self, sql: str, parameters: tuple = ()) -> int:
        if self.busy:
            self.busy -= 1
            raise LockBusy("writers")
        self.done.append(sql)
        return 0

    def define(self, sql: str) -> None:
        self.execute(sql)

    @contextmanager
    def transaction(self):
        self.done.append("begin")
        yield
        self.done.append("commit")

    def there(self, session: Tables) -> list[Installed]:
        return self.installed

    def pause(self, seconds: float) -> None:
        self.time += seconds

    def installer(self, *, transactional: bool = False) -> Installer:
        return Installer(self, transactional, PATIENCE, lambda: self.time, self.pause)


def test_what_lacks_is_told_with_its_table_and_why():
    told = [str(each) for each in lacking(WANTED, Tables().installed)]
    assert told == [
        "posts: the trigger new is not there",
        "posts: the trigger off is switched off",
    ]


def test_what_is_there_and_fires_is_left_alone_and_the_old_goes_behind_the_new():
    tables = Tables()
    tables.installer().fit(WANTED, tables.there)
    assert tables.done == ["make new", "make off", "drop old"]


def test_where_ddl_can_be_rolled_back_one_trigger_is_one_transaction():
    tables = Tables()
    tables.installer(transactional=True).run(("a", "b"))
    assert tables.done == ["begin", "a", "b", "commit"]


def test_writers_are_let_through_between_two_tries():
    tables = Tables(busy=2)
    tables.installer().run(("a",))
    assert (tables.done, tables.time) == (["a"], 4.0)


def test_writers_who_are_always_in_the_way_end_it_within_its_time():
    tables = Tables(busy=100)
    with pytest.raises(LockBusy):
        tables.installer().run(("a",))
    assert (tables.done, tables.time) == ([], 4.0)
