"""The audit file on a real disk: what is in it, and what happens when it cannot be."""

from __future__ import annotations

import json
import os
import resource
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from strangler_proxy.admin.audit import AuditFailed, AuditLog, audit_path, last_entries
from strangler_proxy.admin.changes import Change
from strangler_proxy.config import Config

FLIP = Change("routes.upload.serve", "control", "5% (sticky client)")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".strangler" / "audit.jsonl"


@pytest.fixture
def loose_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def test_a_record_says_when_who_what_from_and_to(path: Path) -> None:
    log = AuditLog(path, lambda: datetime(2026, 1, 2, 3, 4, 5, 678_900, UTC))
    log.record("kim (uid 1000)", FLIP)
    assert json.loads(path.read_text()) == {
        "time": "2026-01-02T03:04:05.678Z",
        "who": "kim (uid 1000)",
        "what": "routes.upload.serve",
        "from": "control",
        "to": "5% (sticky client)",
    }


@pytest.mark.usefixtures("loose_umask")
def test_the_file_and_its_folder_are_their_owners_alone(path: Path) -> None:
    AuditLog(path).record("kim", FLIP)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_earlier_lines_stay_as_they_are_even_a_torn_one(path: Path) -> None:
    path.parent.mkdir()
    path.write_text('{"who": "earlier"}\n{"who": "torn in the mid')
    AuditLog(path).record("kim", FLIP, FLIP.undone)
    assert path.read_text().startswith('{"who": "earlier"}\n{"who": "torn in the mid\n{"time"')
    assert [entry["who"] for entry in last_entries(path, 9)] == ["earlier", "kim", "kim"]


def test_what_did_not_come_about_is_taken_back_with_the_reason(path: Path) -> None:
    log = AuditLog(path)
    log.record("kim", FLIP)
    log.undone("kim", FLIP, reason="a worker did not confirm in time")
    _, back = last_entries(path, 9)
    assert (back["from"], back["to"]) == ("5% (sticky client)", "control")
    assert back["note"] == "not done: a worker did not confirm in time"


@pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
def test_what_is_no_file_is_refused_at_once(path: Path, kind: str) -> None:
    path.parent.mkdir()
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/null")
    with pytest.raises(AuditFailed, match="nothing is changed"):
        AuditLog(path).record("kim", FLIP)


def test_full_disk_refuses_the_change_and_the_next_record_stands_alone(path: Path) -> None:
    """The limit on a file's size stands in for the disk; a process of its own bears it."""
    path.parent.mkdir()
    path.write_text('{"who": "earlier"}\n')
    script = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from strangler_proxy.admin.audit import AuditFailed, AuditLog\n"
        "from strangler_proxy.admin.changes import Change\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (60, {resource.RLIM_INFINITY}))\n"
        "try:\n"
        "    AuditLog(Path(sys.argv[1])).record('kim', Change('a', 'b', 'c'))\n"
        "except AuditFailed as refused:\n"
        "    print(refused)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    assert "cannot be written" in told.stdout
    AuditLog(path).record("kim", FLIP)
    assert [entry["who"] for entry in last_entries(path, 9)] == ["earlier", "kim"]


def test_records_at_the_same_time_are_all_there_and_whole(path: Path) -> None:
    log = AuditLog(path)

    def work(number: int) -> None:
        for _ in range(20):
            log.record(f"worker {number}", FLIP)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(path.read_bytes().splitlines()) == 80
    assert len(last_entries(path, 1000)) == 80


def test_a_file_that_was_moved_away_is_begun_anew(path: Path) -> None:
    log = AuditLog(path)
    log.record("kim", FLIP)
    path.rename(path.with_suffix(".1"))
    log.record("lee", FLIP)
    assert [entry["who"] for entry in last_entries(path, 9)] == ["lee"]


def test_line_breaks_in_what_a_stranger_says_make_no_second_record(path: Path) -> None:
    AuditLog(path).record('eve\n{"who": "kim"}', Change("a\u2028b", "\x1b[2J", "x" * 900))
    assert len(path.read_bytes().splitlines()) == 1
    assert path.read_bytes().isascii()
    assert len(last_entries(path, 9)) == 1


def test_only_the_last_entries_are_kept_and_a_missing_file_has_none(path: Path) -> None:
    assert last_entries(path, 3) == []
    log = AuditLog(path)
    for number in range(5):
        log.record(f"{number}", FLIP)
    assert [entry["who"] for entry in last_entries(path, 3)] == ["2", "3", "4"]


def test_the_file_is_beside_its_configuration_wherever_that_is_named_from(tmp_path: Path) -> None:
    values = {"upstreams": {"a": {"url": "http://127.0.0.1:1"}}, "default": "a"}
    config = Config.model_validate(values)
    beside = tmp_path.resolve()
    assert audit_path(config, tmp_path / "s.yaml") == beside / ".strangler/audit.jsonl"
    named = Config.model_validate({**values, "audit": "log/a.jsonl"})
    assert audit_path(named, tmp_path / "s.yaml") == beside / "log/a.jsonl"
    absolute = Config.model_validate({**values, "audit": "/var/log/a.jsonl"})
    assert audit_path(absolute, tmp_path / "s.yaml") == Path("/var/log/a.jsonl")
