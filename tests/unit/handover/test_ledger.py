"""The ledger of a move: durable, held by one, and never guessed at."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from strangler_proxy.handover.ledger import (
    LedgerError,
    LedgerLocked,
    keep_verified,
    last_verified,
    ledger_path,
    open_ledger,
    read_ledger,
    running_now,
)
from strangler_proxy.handover.standing import Phase, RecordKind

BEGUN = {
    "declared": "d", "source": "ü 😀", "target": "t", "fingerprint": "f", "home": "public",
}  # fmt: skip
HOLD = """
import sys
from pathlib import Path
from strangler_proxy.handover.ledger import open_ledger
with open_ledger(Path(sys.argv[1]), "start"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    return ledger_path(tmp_path / "moves.yaml", "blog")


def noon() -> datetime:
    return datetime(2024, 5, 1, 12, tzinfo=UTC)


def begin(path: Path) -> None:
    with open_ledger(path, "start", noon) as ledger:
        ledger.record(RecordKind.BEGUN, **BEGUN)


def test_it_is_beside_the_file_of_moves(tmp_path, path):
    assert path == tmp_path / ".strangler" / "blog.move.jsonl"


def test_what_is_recorded_is_on_the_disk_while_the_ledger_is_still_held(path):
    with open_ledger(path, "start", noon) as ledger:
        ledger.record(RecordKind.BEGUN, **BEGUN)
        assert [each["kind"] for each in read_ledger(path)] == ["run", "begun"]
        assert ledger.standing.phase is Phase.CAPTURE


def test_a_record_tells_when_and_keeps_every_letter(path):
    begin(path)
    run, begun = read_ledger(path)
    assert begun == {"v": 1, "at": "2024-05-01T12:00:00.000Z", "kind": "begun", **BEGUN}
    assert run["pid"] == os.getpid()
    assert run["command"] == "start"


def test_a_ledger_goes_on_where_it_stood(path):
    begin(path)
    with open_ledger(path, "start") as ledger:
        assert ledger.standing.phase is Phase.CAPTURE
        ledger.record(RecordKind.CAPTURED)
    with open_ledger(path, "start") as ledger:
        assert ledger.standing.phase is Phase.COPY


@pytest.mark.parametrize("torn", [b'{"v":1,"kind":"capt', b"\0" * 40, b"\0" * 40 + b"\n", b"{"])
def test_a_line_that_a_crash_cut_short_was_never_written(path, torn):
    begin(path)
    whole = path.read_bytes()
    with path.open("ab") as file:
        file.write(torn)
    assert len(read_ledger(path)) == 2
    with open_ledger(path, "start") as ledger:
        assert ledger.standing.phase is Phase.CAPTURE
        ledger.record(RecordKind.CAPTURED)
    assert path.read_bytes().startswith(whole)
    assert [each["kind"] for each in read_ledger(path)] == ["run", "begun", "run", "captured"]


@pytest.mark.parametrize(
    "line", ["{nonsense", "[]", "{}", '"text"', json.dumps({"v": 1, "at": "1"})]
)
def test_damage_elsewhere_is_refused_with_its_line(path, line):
    begin(path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], line, lines[1]]) + "\n")
    with pytest.raises(LedgerError, match=r"blog\.move\.jsonl:2 is damaged"):
        read_ledger(path)
    with pytest.raises(LedgerError), open_ledger(path, "start"):
        pytest.fail("it was opened")


@pytest.mark.parametrize("record", [{"v": 2, "kind": "run"}, {"v": 1, "kind": "teleported"}])
def test_records_of_another_version_are_not_acted_on(path, record):
    begin(path)
    with path.open("a") as file:
        file.write(json.dumps({"at": "1", **record}) + "\n")
    with pytest.raises(LedgerError, match="another version"):
        read_ledger(path)


def test_a_second_process_is_refused_and_told_who_holds_it(path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
        text=True,
    ) as holder:
        try:
            assert holder.stdout.readline() == "held\n"
            who = rf"pid {holder.pid} on .* \(start, since "
            with pytest.raises(LedgerLocked, match=who), open_ledger(path, "start"):
                pytest.fail("it was opened twice")
            assert f"pid {holder.pid} " in (running_now(path) or "")
        finally:
            holder.kill()
    assert running_now(path) is None
    with open_ledger(path, "start"):  # the kernel gave the lock free
        pass


def test_reading_takes_no_lock_and_makes_no_file(path):
    assert read_ledger(path) == []
    assert not path.parent.exists()
    with open_ledger(path, "start"):
        assert len(read_ledger(path)) == 1


def test_the_last_verification_is_kept_beside_it_also_while_it_is_held(path):
    assert last_verified(path) is None
    with open_ledger(path, "start"):
        keep_verified(path, {"agrees": False})
        keep_verified(path, {"agrees": True})
    assert last_verified(path) == {"agrees": True}
    assert sorted(each.name for each in path.parent.iterdir()) == [
        "blog.move.jsonl",
        "blog.verified.json",
    ]


def test_a_verification_that_cannot_be_read_is_none(path):
    keep_verified(path, {"agrees": True})
    path.with_name("blog.verified.json").write_text("{")
    assert last_verified(path) is None
