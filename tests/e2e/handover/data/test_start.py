"""`strangler data start` as people run it: killed, told to stop, beside another, on a terminal."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import threading
from contextlib import closing, suppress

import pytest

from tests.e2e.handover.data.blog import COMMAND, END_S, Blog, writer
from tests.wire_tools.proxy import until


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


def test_a_mover_that_was_killed_is_told_as_such(blog):
    with blog.started() as mover:
        mover.event("said", text="caught up")
        mover.process.kill()
        mover.process.wait()
    until(lambda: blog.status()["running"] is None, "the lock is free")
    assert "the last run: was killed" in blog.run("status", "blog").stdout
