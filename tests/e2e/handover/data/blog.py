"""Two files of SQLite, a moves.yaml, commands about them, and somebody who writes."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

COMMAND = (sys.executable, "-m", "strangler_proxy", "data")
ROOT = Path(__file__).parents[4]
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
