"""`strangler data` as people run it: real processes, a writer that goes on, kills at any moment."""

import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from tests.wire_tools.proxy import until

COMMAND = (sys.executable, "-m", "strangler_proxy", "data")
ROOT = Path(__file__).parents[3]
TABLES = """
CREATE TABLE posts (id INTEGER PRIMARY KEY, title VARCHAR(90) NOT NULL, body TEXT);
CREATE TABLE comments (id INTEGER PRIMARY KEY, post_id INTEGER NOT NULL REFERENCES posts (id),
    words TEXT);
"""
MOVES = """
moves:
  - name: blog
    source_env: OLD_URL
    target_env: NEW_URL
    tables:
      - table: posts
      - table: comments
"""
END_S = 60


class Blog:
    """Two files of SQLite, a moves.yaml, and commands about them."""

    def __init__(self, folder: Path, posts: int) -> None:
        self.folder = folder
        self.old, self.new = folder / "old.db", folder / "new.db"
        self.moves = folder / "moves.yaml"
        self.moves.write_text(MOVES)
        self.environ = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "OLD_URL": f"sqlite:///{self.old}",
            "NEW_URL": f"sqlite:///{self.new}",
            "COLUMNS": "200",
        }
        for path in (self.old, self.new):
            with closing(sqlite3.connect(path)) as made:
                made.execute("PRAGMA journal_mode = WAL")
                made.executescript(TABLES)
        with closing(sqlite3.connect(self.old)) as old, old:
            rows = ((number, f"title {number}", "words " * 9) for number in range(posts))
            old.executemany("INSERT INTO posts VALUES (?, ?, ?)", rows)
            old.execute("INSERT INTO comments VALUES (1, 1, 'first')")

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """A command to its end."""
        return subprocess.run(
            [*COMMAND, *arguments, "-m", str(self.moves)],
            env={**self.environ, **environ},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=END_S,
        )

    @contextmanager
    def started(self, *arguments: str) -> Iterator["Mover"]:
        """`start`, going on; killed at the end if it is still there."""
        with subprocess.Popen(
            [*COMMAND, "start", "blog", "--json", "-m", str(self.moves), *arguments],
            env=self.environ,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield Mover(process)
            finally:
                process.kill()

    def status(self) -> dict:
        return json.loads(self.run("status", "blog", "--json").stdout)

    def rows(self, path: Path) -> list:
        with closing(sqlite3.connect(path)) as database:
            return [
                database.execute("SELECT * FROM posts ORDER BY id").fetchall(),
                database.execute("SELECT * FROM comments ORDER BY id").fetchall(),
            ]


class Mover:
    """A running `start --json`."""

    def __init__(self, process: subprocess.Popen) -> None:
        self.process = process

    def event(self, wanted: str, **fields: object) -> dict:
        """Read on until such an event comes."""
        for line in self.process.stdout:
            event = json.loads(line)
            if event.get("event") == wanted and fields.items() <= event.items():
                return event
        raise AssertionError(f"it ended without {wanted} {fields}: {self.process.stderr.read()}")

    def stop(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        out, errors = self.process.communicate(timeout=END_S)
        assert errors == "", errors
        self.last = json.loads(out.splitlines()[-1])
        return self.process.returncode


@contextmanager
def writer(path: Path, seed: int) -> Iterator[None]:
    """Somebody who inserts, changes and deletes until the block ends."""
    ended, faults = threading.Event(), []

    def write() -> None:
        rng, number = random.Random(seed), 1_000_000
        try:
            with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as database:
                while not ended.wait(0.002):
                    number += 1
                    some = rng.randrange(20_000)
                    with suppress(sqlite3.IntegrityError):
                        database.execute(
                            *rng.choice(
                                [
                                    ("INSERT INTO posts VALUES (?, 'new', ?)", (number, "é😀")),
                                    ("UPDATE posts SET title = ? WHERE id = ?", (number, some)),
                                    ("DELETE FROM posts WHERE id = ?", (some,)),
                                    ("UPDATE posts SET id = ? WHERE id = ?", (number, some)),
                                    ("INSERT INTO comments VALUES (?, ?, 'x')", (number, some)),
                                ]
                            )
                        )
        except sqlite3.Error as fault:
            faults.append(fault)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(30)
    assert faults == []


@pytest.fixture
def blog(tmp_path) -> Blog:
    return Blog(tmp_path, posts=3_000)


def test_a_mover_killed_at_any_moment_loses_nothing_that_is_written_meanwhile(tmp_path):
    seed = int(os.environ.get("SEED") or random.randrange(2**32))
    rng, blog = random.Random(seed), Blog(tmp_path, posts=20_000)
    kills = 0
    with writer(blog.old, seed):
        for _ in range(6):
            with blog.started("--rate", "15000") as mover:
                # The first word may be about anything: capture, a page, the tail.
                mover.process.stdout.readline()
                with suppress(subprocess.TimeoutExpired):
                    mover.process.wait(rng.uniform(0.0, 0.6))
                mover.process.kill()
                kills += mover.process.wait() == -signal.SIGKILL
        with blog.started() as mover:
            mover.event("said", text="caught up")
            told = json.loads(blog.run("verify", "blog", "--json").stdout)
            assert told["differ"] == told["explained_by_waiting_changes"], told
            assert mover.stop(signal.SIGTERM) == 0
    assert kills == 6, f"SEED={seed}"
    last = blog.run("start", "blog", "--until-caught-up")
    assert last.returncode == 0, last.stderr
    verified = blog.run("verify", "blog")
    assert verified.returncode == 0, verified.stdout
    assert verified.stdout.startswith("both sides agree")
    assert blog.rows(blog.old) == blog.rows(blog.new), f"SEED={seed}"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_while_it_tails_it_ends_well(blog, number):
    with blog.started() as mover:
        mover.event("said", text="caught up")
        assert mover.stop(number) == 0
    assert mover.last == {"event": "end", "ending": "stopped while tailing"}
    assert blog.status()["ended"] == "stopped while tailing"


def test_told_to_stop_before_it_is_done_it_says_so_and_goes_on_from_there(blog):
    with blog.started("--rate", "500") as mover:
        mover.event("copied", table="posts")
        mover.event("copied", table="posts")
        assert mover.stop(signal.SIGTERM) == 3
    status = blog.status()
    copied = status["tables"][0]["rows"]
    assert status["phase"] == "copying"
    assert 0 < copied < 3_000
    with blog.started("--until-caught-up") as mover:
        assert mover.event("copied", table="posts")["rows"] == copied
        mover.event("end", ending="caught up")
        assert mover.process.wait(END_S) == 0


def test_a_second_mover_is_refused_and_told_who_runs(blog):
    with blog.started() as mover:
        mover.event("said", text="caught up")
        who = f"pid {mover.process.pid} on "
        for command in (["start"], ["remove", "--yes"]):
            second = blog.run(command[0], "blog", *command[1:])
            assert second.returncode == 4, second.stdout
            assert who in second.stderr
        assert who in blog.status()["running"]
        assert blog.run("verify", "blog").returncode == 0
        assert mover.stop(signal.SIGTERM) == 0
    assert blog.status()["running"] is None


def test_the_plan_shows_tables_and_what_would_be_made_and_changes_nothing(blog):
    before = blog.old.read_bytes(), blog.new.read_bytes()
    planned = blog.run("plan", "blog")
    assert planned.returncode == 0, planned.stderr
    for told in ("3,000", "title", "integer", "3 triggers on posts", "strangler_blog_checkpoint"):
        assert told in planned.stdout
    told = json.loads(blog.run("plan", "blog", "--json").stdout)
    assert [each["target"] for each in told["tables"]] == ["posts", "comments"]
    assert "table strangler_blog_checkpoint" in told["target_creates"]
    assert "3 triggers on comments" in told["target_creates"]
    for side in ("source_creates", "target_creates"):
        assert "table strangler_blog_fence and its triggers" in told[side]
    assert (blog.old.read_bytes(), blog.new.read_bytes()) == before
    assert not (blog.folder / ".strangler").exists()


def test_a_plan_that_is_refused_tells_every_reason_at_once(blog):
    blog.moves.write_text(MOVES.replace("comments", "coments") + "      - table: shops\n")
    refused = blog.run("plan", "blog")
    assert refused.returncode == 2
    assert "coments" in refused.stderr
    assert "shops" in refused.stderr
    told = json.loads(blog.run("plan", "blog", "--json").stdout)
    assert told["ok"] is False
    assert len(told["problems"]) >= 2
    started = blog.run("start", "blog")
    assert started.returncode == 2
    assert "shops" in started.stderr


@pytest.mark.parametrize(
    ("command", "environ", "told"),
    [
        ("plan", {"OLD_URL": ""}, "OLD_URL is not set"),
        ("start", {"OLD_URL": ""}, "OLD_URL is not set"),
        ("status", {"NEW_URL": ""}, "NEW_URL is not set"),
        ("verify", {"NEW_URL": "gopher://x"}, "NEW_URL: 'gopher:' is not the URL of a database"),
        ("remove", {"NEW_URL": "mysql://h:port/db"}, "NEW_URL does not hold a database's URL"),
    ],
)
def test_a_variable_without_a_usable_url_is_named(blog, command, environ, told):
    refused = blog.run(command, "blog", **environ)
    assert refused.returncode == 2
    assert told in refused.stderr


@pytest.mark.parametrize("command", ["plan", "start", "verify", "remove"])
def test_a_server_that_does_not_answer_is_told_without_its_password(blog, command):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"postgresql://me:secret@127.0.0.1:{unused.getsockname()[1]}/blog"
        yes = ["--yes"] if command == "remove" else []
        refused = blog.run(command, "blog", *yes, NEW_URL=url)
        status = blog.run("status", "blog", NEW_URL=url)
    assert refused.returncode == 1
    assert "me@127.0.0.1" in refused.stderr
    assert "cannot be reached" in refused.stderr
    assert "secret" not in refused.stderr + status.stdout
    assert status.returncode == 1
    assert "cannot be reached" in status.stdout


def test_a_move_or_a_file_that_is_not_there_is_told(blog):
    other = blog.run("plan", "blgo")
    assert (other.returncode, "has no move 'blgo'; it has: blog" in other.stderr) == (2, True)
    blog.moves.write_text("moves: [{name: Blog}]\n")
    bad = blog.run("status", "blog")
    assert bad.returncode == 2
    assert "moves.yaml:1" in bad.stderr
    blog.moves.unlink()
    gone = blog.run("start", "blog")
    assert (gone.returncode, "cannot be read" in gone.stderr) == (2, True)


def test_a_damaged_ledger_is_not_acted_on(blog):
    assert blog.run("start", "blog", "--until-caught-up").returncode == 0
    ledger = blog.folder / ".strangler" / "blog.move.jsonl"
    ledger.write_text("nonsense\n" + ledger.read_text())
    for command in ("start", "status"):
        refused = blog.run(command, "blog")
        assert refused.returncode == 2
        assert "blog.move.jsonl:1 is damaged" in refused.stderr


def test_a_table_that_is_altered_ends_a_running_mover(blog):
    with blog.started() as mover:
        mover.event("said", text="caught up")
        with closing(sqlite3.connect(blog.old)) as old:
            old.execute("ALTER TABLE posts ADD COLUMN note TEXT")
        out, _ = mover.process.communicate(timeout=END_S)
    told = json.loads(out.splitlines()[-1])
    assert mover.process.returncode == told["exit_code"] == 1
    assert "posts at the source was altered" in told["problems"][0]
    status = blog.run("status", "blog")
    assert status.returncode == 1
    assert "posts at the source was altered" in status.stdout


def test_rows_that_differ_are_printed_with_both_values_and_repaired(blog):
    assert blog.run("start", "blog", "--until-caught-up").returncode == 0
    with closing(sqlite3.connect(blog.new)) as new, new:
        new.execute("INSERT INTO strangler_blog_mover VALUES (1)")  # the tables are shut to others
        new.execute("UPDATE posts SET title = 'wrong' WHERE id < 50")
        new.execute("DELETE FROM comments")
        new.execute("INSERT INTO posts VALUES (9999, 'too many', NULL)")
        new.execute("DELETE FROM strangler_blog_mover")
    found = blog.run("verify", "blog", "--show", "5")
    assert found.returncode == 1
    assert "52 rows differ" in found.stdout
    assert "title: source 'title" in found.stdout
    assert "target 'wrong'" in found.stdout
    assert "... and 47 more" in found.stdout
    told = json.loads(blog.run("verify", "blog", "--json", "--show", "2").stdout)
    assert (told["agrees"], told["differ"], len(told["differences"])) == (False, 52, 2)
    assert "52 rows differed" in blog.run("status", "blog").stdout
    repaired = blog.run("verify", "blog", "--repair")
    assert repaired.returncode == 0, repaired.stdout + repaired.stderr
    assert blog.rows(blog.old) == blog.rows(blog.new)
    assert blog.status()["verified"]["agrees"] is True


def test_removal_asks_at_a_terminal_and_leaves_only_rows(blog):
    assert blog.run("start", "blog", "--until-caught-up").returncode == 0
    asked = blog.run("remove", "blog")
    assert (asked.returncode, "give --yes" in asked.stderr) == (2, True)
    assert blog.status()["phase"] == "tailing"
    assert answered(blog, "n") == 2
    assert blog.status()["phase"] == "tailing"
    assert answered(blog, "y") == 0
    for path in (blog.old, blog.new):
        with closing(sqlite3.connect(path)) as database:
            names = database.execute("SELECT name FROM sqlite_master").fetchall()
        assert [name for (name,) in names if "strangler" in name] == []
    assert blog.rows(blog.old) == blog.rows(blog.new)
    assert blog.status()["phase"] == "not begun"


def answered(blog: Blog, answer: str) -> int:
    """`remove` at a terminal, where somebody types."""
    ours, theirs = os.openpty()
    with subprocess.Popen(
        [*COMMAND, "remove", "blog", "-m", str(blog.moves)],
        env=blog.environ,
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        os.write(ours, f"{answer}\n".encode())
        process.wait(END_S)
    os.close(ours)
    os.close(theirs)
    return process.returncode


def test_on_a_terminal_the_copy_has_a_bar_and_elsewhere_a_line_for_each_table(blog):
    ours, theirs = os.openpty()
    shown = bytearray()

    def read() -> None:
        with suppress(OSError):  # the terminal is gone
            while some := os.read(ours, 4096):
                shown.extend(some)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    process = subprocess.Popen(
        [*COMMAND, "start", "blog", "--until-caught-up", "-m", str(blog.moves)],
        env={**blog.environ, "TERM": "xterm"},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    assert process.wait(END_S) == 0
    os.close(theirs)
    reader.join(10)
    os.close(ours)
    text = shown.decode()
    assert "━" in text
    assert "3,000 rows, done" in text
    assert "caught up" in text
    assert blog.run("remove", "blog", "--yes").returncode == 0
    plain = blog.run("start", "blog", "--until-caught-up").stdout
    assert "━" not in plain
    assert "posts: 3,000 rows, done\n" in plain


COMMANDS = ["plan", "start", "status", "verify", "cutover", "rollback", "retire", "remove"]


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_has_examples_and_exit_codes(blog, command):
    helped = subprocess.run(
        [*COMMAND, *filter(None, [command]), "--help"],
        env=blog.environ,
        capture_output=True,
        text=True,
        timeout=END_S,
    )
    assert helped.returncode == 0
    assert "Exit codes" in helped.stdout
    if command:
        assert f"strangler data {command} posts" in " ".join(helped.stdout.split())


def test_a_mover_that_was_killed_is_told_as_such(blog):
    with blog.started() as mover:
        mover.event("said", text="caught up")
        mover.process.kill()
        mover.process.wait()
    until(lambda: blog.status()["running"] is None, "the lock is free")
    assert "the last run: was killed" in blog.run("status", "blog").stdout
