"""A step that moves data: real commands, databases and a proxy, under clients that write."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from strangler_proxy.steps.move_commands import MoveCommands
from strangler_proxy.steps.moves import MoveFailed
from tests.e2e.handover.commands import COMMAND, END_S, Notes, notes_moving
from tests.wire_tools.proxy import until

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def notes(tmp_path: Path) -> Iterator[Notes]:
    for side in ("old", "new"):
        with closing(sqlite3.connect(tmp_path / f"{side}.db")) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
    urls = (f"sqlite:///{tmp_path / side}.db" for side in ("old", "new"))
    with notes_moving(tmp_path, *urls) as made:
        yield made
        ended = step(made, "undo")  # whatever the test has left: no mover outlives it
        assert ended.returncode == 0, ended.stdout


def step(notes: Notes, direction: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(notes, direction), **options(notes), timeout=END_S)


def command(notes: Notes, direction: str) -> list[str]:
    return [sys.executable, "-m", "tests.e2e.handover.stepping", str(notes.folder), direction]


def options(notes: Notes) -> dict:
    return {"env": notes.environ, "stdout": subprocess.PIPE, "text": True}


def move_of(notes: Notes) -> MoveCommands:
    return MoveCommands("notes", notes.moves, notes.config, notes.environ, COMMAND[:-1])


def test_the_data_goes_over_and_back_with_every_write_and_no_client_notices(notes: Notes) -> None:
    notes.write()
    notes.until_written(50)
    ended = step(notes, "execute")
    assert ended.returncode == 0, ended.stdout
    assert "copy/rows: " in ended.stdout
    assert move_of(notes).state().owner == "candidate"
    notes.until_written(50)
    ended = step(notes, "undo")
    assert ended.returncode == 0, ended.stdout
    assert notes.left("control", made=True) == ["counters", "notes"]
    notes.until_written(50)
    notes.end()
    assert notes.wrong() == []
    written = sorted(note for note, status, *_ in notes.answers() if status == "200")
    assert notes.words("control") == written


def test_a_step_killed_in_the_middle_of_the_cut_over_goes_on_with_the_same_command(
    notes: Notes,
) -> None:
    notes.write()
    notes.until_written(20)
    process = subprocess.Popen(command(notes, "execute"), **options(notes))
    ledger = notes.folder / "notes.jsonl"
    part = "hand notes over"
    until(lambda: ledger.exists() and part in ledger.read_text(), "it is begun", END_S)
    process.kill()
    process.communicate()
    ended = step(notes, "execute")
    assert ended.returncode == 0, ended.stdout
    assert move_of(notes).state().owner == "candidate"
    notes.until_written(20)
    notes.end()
    until(notes.same, "the last is carried over", 30.0)
    assert notes.wrong() == []


def test_what_stands_against_a_move_is_told_in_its_own_words(notes: Notes) -> None:
    notes.moves.write_text(notes.moves.read_text().replace("table: counters", "table: conters"))
    with pytest.raises(MoveFailed, match="conters"):
        move_of(notes).plan()
    ended = step(notes, "execute")
    assert ended.returncode == 1
    assert "conters" in ended.stdout
    assert not (notes.folder / ".strangler").exists() or not os.listdir(notes.folder / ".strangler")
