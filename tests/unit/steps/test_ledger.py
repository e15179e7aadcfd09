"""The ledger: what was recorded is there after any crash, and only one process may record."""

import errno
import fcntl
import json
import os
import subprocess
import sys

import pytest

from strangler_proxy.steps.ledger import (
    Ledger,
    LedgerError,
    LedgerLocked,
    open_ledger,
    read_ledger,
    running_now,
    split_torn,
)
from strangler_proxy.steps.state import Kind, Phase, Progress, State


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run" / "s.ledger.jsonl"


def record_two(path):
    with open_ledger(path, "execute") as ledger:
        ledger.record(Kind.BEGAN, options={"a": (1, 2)})
        ledger.record(Kind.DOING, part="a", facts={"before": None})
        return ledger.state


def test_what_was_recorded_is_read_back_by_the_next_process(path):
    written = record_two(path)
    with open_ledger(path, "undo") as ledger:
        assert ledger.state == written
        assert ledger.state.phase is Phase.FORWARD
        assert ledger.state.part("a").progress is Progress.DOING
    kinds = [record["kind"] for record in read_ledger(path)]
    assert kinds == ["run", "began", "doing", "run"]
    assert {record["v"] for record in read_ledger(path)} == {1}


def test_a_last_line_torn_at_any_byte_is_cut_off_and_nothing_else(path):
    record_two(path)
    whole = path.read_bytes()
    last = whole.rstrip(b"\n").rfind(b"\n") + 1
    for cut in range(last, len(whole)):
        path.write_bytes(whole[:cut])
        assert [r["kind"] for r in read_ledger(path)] == ["run", "began"]
        with open_ledger(path, "execute") as ledger:
            assert ledger.state.touched == frozenset()
        assert path.read_bytes().startswith(whole[:last])
        assert [r["kind"] for r in read_ledger(path)] == ["run", "began", "run"]


@pytest.mark.parametrize(
    ("content", "whole"),
    [
        (b"", b""),
        (b"a\nb\n", b"a\nb\n"),
        (b"a\nb", b"a\n"),
        (b"a\n\0\0\0", b"a\n"),
        (b"a\n\0\0\n", b"a\n"),
        (b"a\nb\0\0", b"a\n"),
    ],
)
def test_zeros_left_by_a_power_cut_are_torn_as_well(content, whole):
    assert split_torn(content) == (whole, content[len(whole) :])


def test_damage_before_the_last_line_is_refused_with_its_line_number(path):
    record_two(path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"{broken}\n" + lines[2])
    with pytest.raises(LedgerError, match=r"s\.ledger\.jsonl:2 is damaged"):
        read_ledger(path)


def test_a_ledger_of_a_later_version_is_refused_not_misread(path):
    record_two(path)
    path.write_text(json.dumps({"v": 2, "kind": "began"}) + "\n")
    with pytest.raises(LedgerError, match="another version"), open_ledger(path, "execute"):
        pass


def test_a_second_run_is_refused_and_told_who_holds_the_ledger_since_when(path):
    with open_ledger(path, "execute"):
        since = read_ledger(path)[-1]["at"]
        assert running_now(path).startswith(f"pid {os.getpid()} on ")
        with pytest.raises(LedgerLocked, match=f"pid {os.getpid()} .*execute, since {since}"):
            open_ledger(path, "undo").__enter__()
    assert running_now(path) is None
    with open_ledger(path, "undo"):
        pass


def test_a_started_process_does_not_inherit_the_lock(path):
    with open_ledger(path, "execute"):
        child = subprocess.Popen(
            [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            close_fds=False,  # close-on-exec alone has to do
        )
        child.stdout.readline()
    with child:
        with open(path) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        child.stdin.close()


class FullDisk(Ledger):
    def append(self, line):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_record_that_did_not_reach_the_disk_does_not_count():
    ledger = FullDisk(-1, State())
    with pytest.raises(OSError, match="No space"):
        ledger.record(Kind.BEGAN)
    assert ledger.state == State()
