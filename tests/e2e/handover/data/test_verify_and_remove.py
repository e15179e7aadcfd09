"""`strangler data verify` shows and repairs what differs; `remove` leaves only rows."""

import json
import os
import sqlite3
import subprocess
from contextlib import closing

from tests.e2e.handover.data.blog import COMMAND, END_S, Blog


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
