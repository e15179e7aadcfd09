"""Cut-over, rollback and what goes with them as commands, beside a `start` that goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.handover.commands import Notes, notes_moving
from tests.services import scratch_database
from tests.wire_tools.proxy import until

Make = Callable[..., Notes]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes a capability whose tables move between two kinds of databases."""
    with ExitStack() as stack:

        def made(old: str = "sqlite", new: str = "sqlite", rate: float = 300.0) -> Notes:
            urls = []
            for side, kind in (("old", old), ("new", new)):
                if kind == "sqlite":
                    path = tmp_path / f"{side}.db"
                    _wal(path)
                    urls.append(f"sqlite:///{path}")
                else:
                    urls.append(stack.enter_context(scratch_database(kind)))
            return stack.enter_context(notes_moving(tmp_path, *urls, rate=rate))

        yield made


def _wal(path: Path) -> None:
    import sqlite3

    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()


@pytest.fixture
def notes(make: Make) -> Notes:
    return make()


def test_writes_go_there_and_back_beside_a_start_that_goes_on(notes: Notes) -> None:
    notes.write()
    start = notes.start()
    for command, owner in (("cutover", "candidate"), ("rollback", "control")) * 2:
        notes.until_written(100)
        told = notes.hand_over(command)
        assert (told["done"], told["owner"]) == (True, owner)
        assert list(told["steps_s"])[-1] == "recorded"
        assert told["warnings"] == []
        start.event("said", text="standing aside for pid")
        start.event("said", text="caught up")
    notes.until_written(100)
    notes.end()
    until(notes.same, "the last is carried over", 30.0)
    assert notes.wrong() == []
    assert start.stop() == 0
