"""Cut-over, rollback and what goes with them as commands, beside a `start` that goes on."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from strangler_proxy.handover.faults import Clash
from tests.e2e.handover.commands import MOVES, Notes, notes_moving
from tests.services import scratch_database
from tests.wire_tools.proxy import until

Make = Callable[..., Notes]
pytestmark = pytest.mark.timeout(400)  # dozens of processes, on a machine that may be busy


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
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


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


@pytest.mark.services
@pytest.mark.parametrize(
    ("old", "new"), [("sqlite", "postgresql"), ("mysql", "sqlite")], ids=["postgresql", "mysql"]
)
def test_between_other_databases_it_goes_there_and_back_and_is_retired(
    make: Make, old: str, new: str
) -> None:
    notes = make(old, new, rate=100.0)
    notes.write()
    start = notes.start()
    for command in ("cutover", "rollback", "cutover"):
        notes.until_written(50)
        assert notes.hand_over(command)["done"]
        start.event("said", text="caught up")
    notes.until_written(50)
    notes.end()
    until(notes.same, "the last is carried over", 30.0)
    assert notes.wrong() == []
    assert start.stop() == 0
    retired = notes.run("retire", "notes", "--execute", "--drop-tables", "--yes")
    assert retired.returncode == 0, retired.stderr
    assert notes.left("control") == []
    assert notes.left("candidate") == ["counters", "notes"]
    assert notes.run("status", "notes").returncode == 0


STEPS = ["held", "fenced", "drained", "verified", "numbered", "decided", "flipped", "opened"]


@pytest.mark.parametrize("step", STEPS)
def test_killed_in_the_middle_the_same_command_again_ends_it(notes: Notes, step: str) -> None:
    notes.write()
    start = notes.start()
    notes.until_written(50)
    cutover = notes.begin("cutover", "notes", "--execute", "--json")
    cutover.event("step", step=step)
    cutover.kill()
    start.event("said", text="caught up")  # it has settled what was begun
    assert notes.status()["cut_over_begun"] is False
    assert notes.hand_over("cutover")["owner"] == "candidate"
    notes.until_written(50)
    notes.end()
    until(notes.same, "the last is carried over", 30.0)
    assert start.stop() == 0
    if step not in ("decided", "flipped"):  # both sides are shut then, for longer than a hold
        assert notes.wrong() == []
    assert notes.words("control") == notes.words("candidate")


# Requests wait for as long as one that was sent before is not answered.
WAITING = (
    *("cutover", "notes", "--execute", "--json", "--despite-writers"),
    *("--hold-s", "30", "--drain-s", "29", "--skip-verify"),
)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_to_stop_while_writers_wait_it_goes_back_at_once(
    notes: Notes, number: signal.Signals
) -> None:
    notes.write()
    start = notes.start()
    notes.until_written(50)
    with notes.slow_request():
        cutover = notes.begin(*WAITING)
        cutover.event("step", step="prepared")
        cutover.process.send_signal(number)
    assert cutover.ended() == 3
    told = cutover.told[-1]
    assert (told["done"], told["owner"], told["reason"]) == (False, "control", "told to stop")
    start.event("said", text="caught up")
    notes.until_written(50)
    notes.end()
    assert notes.wrong() == []
    assert start.stop() == 0


def test_a_second_cut_over_is_refused_and_told_who_is_at_it(notes: Notes) -> None:
    start = notes.start()
    with notes.slow_request():
        first = notes.begin(*WAITING)
        first.event("step", step="prepared")
        second = notes.run("cutover", "notes", "--execute")
        assert second.returncode == 4
        assert f"pid {first.process.pid} on " in second.stderr
        assert "(cutover, since " in second.stderr
    assert first.ended() == 0
    assert start.stop() == 0


def test_without_execute_it_tells_what_is_ready_and_changes_nothing(notes: Notes) -> None:
    early = notes.run("cutover", "notes", "--json")
    assert early.returncode == 1
    bad = {check["what"] for check in json.loads(early.stdout)["checks"] if not check["good"]}
    assert bad == {"copied"}
    start = notes.start()
    looked = json.loads(notes.run("cutover", "notes", "--json").stdout)
    assert looked["ok"] is True
    assert {"owner", "tables", "capture", "fences", "lag", "writes", "proxy"} <= {
        check["what"] for check in looked["checks"]
    }
    shown = notes.run("cutover", "notes")
    assert shown.returncode == 0
    assert "strangler data cutover notes --execute" in shown.stdout
    assert start.process.poll() is None
    assert notes.status()["cut_overs"] == 0
    assert start.stop() == 0
    assert not any(told.get("text", "").startswith("standing aside") for told in start.told)


def test_what_is_not_ready_is_told_and_nothing_is_begun(notes: Notes) -> None:
    start = notes.start()
    notes.served.stop()
    refused = notes.run("cutover", "notes", "--execute", "--json")
    assert refused.returncode == 1
    told = json.loads(refused.stdout.splitlines()[-1])
    assert told["ok"] is False
    assert "no proxy answers" in told["problems"][0]
    assert notes.status()["cut_over_begun"] is False
    assert start.stop() == 0


@pytest.mark.parametrize(
    ("moves", "arguments", "told"),
    [
        ("notes", ["cutover", "nots"], "did you mean 'notes'?"),
        ("noets", ["cutover", "notes"], "names the route 'noets', which"),
        ("noets", ["cutover", "notes", "--execute"], "did you mean 'notes'?"),
        ("pages", ["cutover", "notes"], "route 'pages' of"),
        ("", ["cutover", "notes"], "names no routes"),
        ("noets", ["plan", "notes"], "did you mean 'notes'?"),
        ("noets", ["start", "notes"], "did you mean 'notes'?"),
        ("notes", ["rollback", "notes", "--execute"], "was never cut over"),
        ("notes", ["retire", "notes", "--execute", "--yes"], "only a move that was cut over"),
        ("notes", ["cutover", "notes", "--hold-s", "0"], "--hold-s"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_to_do(
    notes: Notes, moves: str, arguments: list[str], told: str
) -> None:
    notes.moves.write_text(MOVES.replace("[notes]", f"[{moves}]"))
    refused = notes.run(*arguments)
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert told in refused.stderr
    assert not (notes.folder / ".strangler").exists()


def test_who_owns_the_tables_already_has_nothing_done_to_them(notes: Notes) -> None:
    start = notes.start()
    assert notes.hand_over("cutover")["already"] is False
    assert notes.hand_over("cutover")["already"] is True
    assert notes.hand_over("rollback")["already"] is False
    assert notes.hand_over("rollback")["already"] is True
    assert notes.status()["cut_overs"] == 2
    assert start.stop() == 0


def test_removal_is_refused_while_the_candidate_owns_the_tables(notes: Notes) -> None:
    assert notes.run("start", "notes", "--until-caught-up").returncode == 0
    assert notes.hand_over("cutover")["done"]
    for lose in (False, True):
        if lose:  # the fence itself tells
            for path in (notes.folder / ".strangler").iterdir():
                path.unlink()
        refused = notes.run("remove", "notes", "--yes")
        assert refused.returncode == 2, refused.stdout
        assert "strangler data rollback notes" in refused.stderr
    assert "strangler_notes_fence" in notes.left("control", made=True)


def test_removal_leaves_nothing_at_either_side(notes: Notes) -> None:
    assert notes.run("start", "notes", "--until-caught-up").returncode == 0
    assert notes.hand_over("cutover")["done"]
    assert notes.hand_over("rollback")["done"]
    removed = notes.run("remove", "notes", "--yes")
    assert removed.returncode == 0, removed.stderr
    for side in notes.urls:
        assert notes.left(side, made=True) == ["counters", "notes"]
        with closing(notes.session(side)) as session:
            session.execute("UPDATE counters SET n = n")


def test_retired_old_tables_stay_shut_until_they_are_dropped(notes: Notes) -> None:
    start = notes.start()
    assert notes.hand_over("cutover")["done"]
    plan = notes.run("retire", "notes")
    assert plan.returncode == 0
    assert "--execute" in plan.stdout
    asked = notes.run("retire", "notes", "--execute")
    assert (asked.returncode, "give --yes" in asked.stderr) == (2, True)
    retired = notes.run("retire", "notes", "--execute", "--yes")
    assert retired.returncode == 0, retired.stderr
    assert start.ended() == 0
    assert start.told[-1] == {"event": "end", "ending": "retired"}
    with closing(notes.session("control")) as old, pytest.raises(Clash, match="takes no writes"):
        old.execute("UPDATE counters SET n = 7")
    with closing(notes.session("candidate")) as new:
        new.execute("UPDATE counters SET n = 7")
    assert notes.left("candidate", made=True) == ["counters", "notes"]
    again = notes.run("start", "notes")
    assert (again.returncode, "notes is retired" in again.stdout) == (0, True), again.stderr
    for command in ("cutover", "rollback", "remove"):
        extra = ["--execute"] if command in ("cutover", "rollback") else []
        extra = ["--yes"] if command == "remove" else extra
        refused = notes.run(command, "notes", *extra)
        assert refused.returncode in (1, 2)
        assert "retired" in refused.stderr
    assert notes.status()["phase"] == "retired"
    assert notes.run("retire", "notes", "--execute", "--yes").returncode == 0
    with closing(notes.session("control")) as old:
        old.execute("CREATE TABLE replies (id INTEGER, note INTEGER REFERENCES notes (id))")
        kept = notes.run("retire", "notes", "--execute", "--drop-tables", "--yes")
        assert kept.returncode == 1
        assert "replies refers to notes" in kept.stderr
        old.execute("DROP TABLE replies")
    dropped = notes.run("retire", "notes", "--execute", "--drop-tables", "--yes")
    assert dropped.returncode == 0, dropped.stderr
    assert notes.left("control", made=True) == []


@pytest.mark.parametrize("word", ["retiring", "free"])
def test_retired_and_killed_it_is_retired_by_the_same_command(notes: Notes, word: str) -> None:
    start = notes.start()
    assert notes.hand_over("cutover")["done"]
    assert start.stop() == 0
    sentence = {"retiring": "the old tables have", "free": "the new tables are free"}[word]
    with notes.open_reader("control" if word == "free" else "candidate"):
        begun = notes.begin("retire", "notes", "--execute", "--drop-tables", "--yes")
        assert begun.process.stdout is not None
        until(lambda: begun.process.stdout.readline().startswith(sentence), sentence, 30.0)
        begun.kill()
    refused = notes.run("start", "notes")
    assert refused.returncode == 1
    assert "strangler data retire notes" in refused.stderr
    ended = notes.run("retire", "notes", "--execute", "--drop-tables", "--yes")
    assert ended.returncode == 0, ended.stderr
    assert notes.left("control", made=True) == []
    assert notes.left("candidate", made=True) == ["counters", "notes"]


def test_rows_are_repaired_from_the_owner_whoever_it_is(notes: Notes) -> None:
    assert notes.run("start", "notes", "--until-caught-up").returncode == 0
    assert notes.hand_over("cutover")["done"]
    with closing(notes.session("candidate")) as new:
        new.execute("UPDATE counters SET n = 5 WHERE id = 3")
    with closing(notes.session("control", "notes")) as mover, mover.transaction():
        mover.execute("UPDATE counters SET n = 9 WHERE id = 4")
    found = notes.run("verify", "notes")
    assert found.returncode == 1
    assert "n: source '0', target '9'" in found.stdout
    start = notes.start()
    repaired = notes.run("verify", "notes", "--repair")
    assert repaired.returncode == 0, repaired.stdout + repaired.stderr
    start.event("said", text="standing aside for pid")
    start.event("said", text="caught up")
    assert start.stop() == 0
    for side in notes.urls:
        with closing(notes.session(side)) as session:
            assert session.rows("SELECT id, n FROM counters WHERE id IN (3, 4)") == [(3, 5), (4, 0)]
