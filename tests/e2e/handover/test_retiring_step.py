"""A step that retires a move: real commands and databases, a mover that runs on, and writers."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.e2e.handover.commands import END_S, Notes, Running, notes_moving
from tests.wire_tools.proxy import until

pytestmark = pytest.mark.timeout(400)  # dozens of processes, on a machine that may be busy


@pytest.fixture
def notes(tmp_path: Path) -> Iterator[Notes]:
    for side in ("old", "new"):
        with closing(sqlite3.connect(tmp_path / f"{side}.db")) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
    urls = (f"sqlite:///{tmp_path / side}.db" for side in ("old", "new"))
    with notes_moving(tmp_path, *urls) as made:
        yield made


@pytest.fixture
def mover(notes: Notes) -> Running:
    """It carries every change back: the writes were handed over."""
    mover = notes.start()
    assert notes.hand_over("cutover")["done"]
    return mover


def step(notes: Notes, name: str, way: str) -> subprocess.CompletedProcess[str]:
    process = begin(notes, name, way)
    said, _ = process.communicate(timeout=END_S)
    return subprocess.CompletedProcess(process.args, process.returncode, said)


def begin(notes: Notes, name: str, way: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.e2e.handover.stepping", str(notes.folder), way, name]
    return subprocess.Popen(command, env=notes.environ, stdout=subprocess.PIPE, text=True)


def ended_well(mover: Running) -> bool:
    """Whether it ends by itself, as it should once there is nothing to carry."""
    return mover.ended() == 0 and mover.told[-1] == {"event": "end", "ending": "retired"}


@pytest.mark.parametrize(("name", "kept"), [("retire", ["counters", "notes"]), ("retire-drop", [])])
def test_old_tables_are_left_behind_while_clients_write_and_the_mover_ends_by_itself(
    notes: Notes, mover: Running, name: str, kept: list[str]
) -> None:
    notes.write()
    notes.until_written(30)
    ended = step(notes, name, "execute")
    assert ended.returncode == 0, ended.stdout
    assert notes.left("control") == kept
    assert notes.left("candidate", made=True) == ["counters", "notes"]
    assert ended_well(mover)
    notes.until_written(30)
    notes.end()
    assert notes.wrong() == []
    written = sorted(note for note, status, *_ in notes.answers() if status == "200")
    assert notes.words("candidate") == written
    if kept:
        assert set(notes.words("control")) < set(written)  # as they were at that moment


def test_a_retirement_that_is_done_stays_so_whatever_is_asked_of_its_step(
    notes: Notes, mover: Running
) -> None:
    assert step(notes, "retire", "execute").returncode == 0
    refused = step(notes, "retire", "undo")
    assert refused.returncode == 3
    assert "notes is retired for good: no way leads back" in refused.stdout
    assert step(notes, "retire", "execute").returncode == 0
    assert ended_well(mover)
    assert notes.status()["phase"] == "retired"


def test_a_step_killed_in_the_middle_of_a_retirement_completes_it_by_the_same_command(
    notes: Notes, mover: Running
) -> None:
    with held_up(notes):
        notes.write()
        notes.until_written(20)
    ended = step(notes, "retire-drop", "execute")
    assert ended.returncode == 0, ended.stdout
    assert notes.left("control", made=True) == []
    assert ended_well(mover)
    notes.end()
    assert notes.wrong() == []


def test_an_undo_waits_for_the_retirement_that_a_killed_step_has_left_and_comes_too_late(
    notes: Notes, mover: Running
) -> None:
    with held_up(notes):
        undo = begin(notes, "retire-drop", "undo")
        ledger = notes.folder / "retire-drop.jsonl"
        until(lambda: '"undoing"' in ledger.read_text(), "it is being undone", END_S)
        assert undo.poll() is None
    said, _ = undo.communicate(timeout=END_S)
    assert (undo.returncode, "notes is retired for good" in said) == (3, True), said
    ended = step(notes, "retire-drop", "execute")
    assert ended.returncode == 0, ended.stdout
    assert notes.left("control", made=True) == []


@contextmanager
def held_up(notes: Notes) -> Iterator[None]:
    """A retirement whose step was killed, and whose command waits for who writes the old tables."""
    with closing(sqlite3.connect(notes.folder / "old.db", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        process = begin(notes, "retire-drop", "execute")
        until(lambda: notes.status()["phase"] == "being retired", "it is begun", END_S)
        process.kill()
        process.communicate()
        yield
