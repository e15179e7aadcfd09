"""A file of records: what a full disk leaves of it, and whose lock is whose."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from strangler_proxy import journal

FORM = journal.Form(version=1, kinds={"run", "note"}, advice="restore the file")


@contextmanager
def room_for(more: int, path: Path) -> Iterator[None]:
    """The file may grow by so many bytes, as if the disk were full then."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def note(number: int) -> bytes:
    return journal.encoded(FORM, journal.utc_now(), "note", {"number": number})


@pytest.mark.parametrize("room", [0, 1, 20])
def test_a_record_that_finds_no_room_leaves_nothing_for_the_next_to_be_glued_to(
    tmp_path: Path, room: int
) -> None:
    path = tmp_path / "ledger.jsonl"
    with journal.open_journal(path, FORM) as (file, _):
        journal.append(file, note(1))
        with room_for(room, path), pytest.raises(OSError):
            journal.append(file, note(2))
        assert [each["number"] for each in journal.read_journal(path, FORM)] == [1]
        journal.append(file, note(3))
    assert [each["number"] for each in journal.read_journal(path, FORM)] == [1, 3]


def test_the_kernel_names_the_lock_of_this_filesystem_as_it_is_looked_for(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    assert journal.running_now(path, FORM) is None
    with journal.open_journal(path, FORM) as (file, _):
        journal.append(
            file,
            journal.encoded(FORM, journal.utc_now(), "run", journal.this_process(FORM, "walk")),
        )
        assert f"pid {os.getpid()} " in (journal.running_now(path, FORM) or "")
    assert journal.running_now(path, FORM) is None
