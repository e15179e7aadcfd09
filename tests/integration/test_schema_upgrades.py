"""A schema upgrade is killed and run again, or run twice at once, on every database."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text

from tests.services import scratch_database

AUTH = ("extracted.chassis.schema", "upgrade", "auth")
BLOG = ("monolith.db", "upgrade")
# Runs the module, and sends itself a signal before the first statement that begins with FATAL.
STRUCK = """
import os, runpy, signal, sys
from sqlalchemy import event
from sqlalchemy.engine import Engine

def strike(conn, cursor, statement, *_):
    if " ".join(statement.split()).startswith(os.environ["FATAL"]):
        os.kill(os.getpid(), signal.Signals[os.environ["SIGNAL"]])

event.listen(Engine, "before_cursor_execute", strike)
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgresql", marks=pytest.mark.services),
        pytest.param("mysql", marks=pytest.mark.services),
    ]
)
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of this test's own, of each kind."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            yield f"sqlite:///{tmp_path / 'new.db'}"
        else:
            yield stack.enter_context(scratch_database(request.param))


def begun(url: str, *command: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *command],
        env={**os.environ, "DATABASE_URL": url, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    told, _ = process.communicate(timeout=60)
    return process.returncode, told


@pytest.mark.parametrize(
    ("upgrade", "fatal"),
    [
        (AUTH, "CREATE TABLE outbox"),
        (AUTH, "CREATE INDEX ix_outbox_sent_id"),
        (BLOG, "CREATE INDEX ix_comments_author_id"),
        (BLOG, "INSERT INTO alembic_version"),
    ],
)
def test_what_was_killed_half_way_is_completed_by_the_same_command(
    empty_database: str, upgrade: tuple[str, ...], fatal: str
) -> None:
    killed = begun(empty_database, "-c", STRUCK, *upgrade, FATAL=fatal, SIGNAL="SIGKILL")
    assert ended(killed)[0] == -signal.SIGKILL
    assert ended(begun(empty_database, "-m", *upgrade)) == (0, "")
    assert fatal.split()[-1] in made(empty_database)


def test_a_second_upgrade_waits_for_the_one_that_is_under_way(empty_database: str) -> None:
    first = begun(empty_database, "-c", STRUCK, *BLOG, FATAL="CREATE TABLE posts", SIGNAL="SIGSTOP")
    os.waitid(os.P_PID, first.pid, os.WSTOPPED | os.WNOWAIT)
    second = begun(empty_database, "-m", *BLOG)
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(3)
    first.send_signal(signal.SIGCONT)
    assert [ended(first), ended(second)] == [(0, ""), (0, "")]


def test_a_table_that_somebody_else_has_made_is_not_taken_over(empty_database: str) -> None:
    engine = create_engine(empty_database)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE users (id INTEGER, nick VARCHAR(9))"))
    engine.dispose()
    for _ in range(2):
        status, told = ended(begun(empty_database, "-m", *AUTH))
        assert status == 1
        assert "users" in told


def made(url: str) -> set[str | None]:
    """The names of its tables and indexes."""
    engine = create_engine(url)
    found = inspect(engine)
    tables = found.get_table_names()
    indexes = [index["name"] for table in tables for index in found.get_indexes(table)]
    engine.dispose()
    return {*tables, *indexes}
