"""What is in a line, what never is, and how lines reach a file that may be slow, full or gone."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strangler_proxy.config import AccessLog as Settings
from strangler_proxy.wire.access_log import AccessLog, Record
from strangler_proxy.wire.log_file import MOST_BYTES, PIPE_BYTES, LogFile
from strangler_proxy.wire.redaction import Redaction
from tests.wire_tools.proxy import until


def record(**values: Any) -> Record:
    known: dict[str, Any] = {
        "time_unix_s": 1_700_000_000.1239,
        "client": "10.0.0.1",
        "method": b"GET",
        "target": b"/posts",
        "route": "posts",
        "upstream": "monolith",
        "status": 200,
        "duration_s": 0.0123456,
        "request_id": b"abc-1",
    }
    return Record(**known | values)


def told(settings: Settings | None = None, **values: Any) -> dict[str, Any]:
    line = AccessLog(settings or Settings()).line(record(**values))
    assert line.endswith(b"\n")
    assert len(line.splitlines()) == 1
    assert line.isascii()
    loaded: dict[str, Any] = json.loads(line)
    return loaded


def test_a_line_says_all_that_is_known_and_nothing_else() -> None:
    assert told() == {
        "time": "2023-11-14T22:13:20.123Z",
        "client": "10.0.0.1",
        "method": "GET",
        "path": "/posts",
        "route": "posts",
        "upstream": "monolith",
        "status": 200,
        "duration_ms": 12.346,
        "request_id": "abc-1",
        "tries": 1,
    }
    more = told(
        address="127.0.0.1:5000",
        sent_bytes=0,
        trace_id=b"a" * 32,
        tries=2,
        reason="canary",
        fault="upstream 'image' closed the connection",
        subject="42",
        headers=[(b"User-Agent", b"curl"), (b"Accept", b"*/*")],
    )
    assert (more["address"], more["bytes"], more["tries"]) == ("127.0.0.1:5000", 0, 2)
    assert (more["trace_id"], more["reason"], more["subject"]) == ("a" * 32, "canary", "42")
    assert more["fault"] == "upstream 'image' closed the connection"
    assert more["headers"] == {"user-agent": "curl"}


@pytest.mark.parametrize(
    ("target", "written"),
    [
        (b"/a?token=s3cret", "/a?token=***"),
        (b"/a?x=1&TOKEN=s3cret&y=2", "/a?x=1&TOKEN=***&y=2"),
        (b"/a?%74o%6ben=s3cret", "/a?%74o%6ben=***"),
        (b"/a?+token+=s3cret", "/a?+token+=***"),
        (b"/a?user[password]=s3cret", "/a?user[password]=***"),
        (b"/a?user%5Bpassword%5D=s3cret", "/a?user%5Bpassword%5D=***"),
        (b"/a?password[]=s3cret", "/a?password[]=***"),
        (b"/a?x=1;token=s3cret&y=2", "/a?x=1;token=***&y=2"),
        (b"/a?token=s3;cret&y=2", "/a?token=***&y=2"),
        (b"/a?token=s3cret=s3cret", "/a?token=***"),
        (b"/a?x=?token=plain", "/a?x=?token=plain"),
        (b"/a?tokens=plain&y=token", "/a?tokens=plain&y=token"),
        (b"/token=plain", "/token=plain"),
        (b"/a?", "/a?"),
    ],
)
def test_secrets_in_the_query_are_hidden_in_every_spelling(target: bytes, written: str) -> None:
    path = told(target=target)["path"]
    assert path == written
    assert "s3" not in path


@given(st.binary(max_size=40), st.sampled_from([b"token", b"ToKeN", b"%74oken", b"a[token]"]))
def test_no_surroundings_bring_a_secret_to_light(around: bytes, name: bytes) -> None:
    around = around.replace(b"#", b"").replace(b"&", b"").replace(b";", b"")
    hidden = Redaction(["query:token"]).target(b"/?" + around + b"&" + name + b"=S3CRET" + around)
    assert b"S3CRET" not in hidden


def test_headers_are_written_by_name_and_hidden_by_name() -> None:
    settings = Settings(
        headers=("Authorization", "cookie", "Referer", "x-strangler-side", "accept"),
        redact=("header:AUTHORIZATION", "query:token"),
    )
    headers = [
        (b"authorization", b"Bearer s3cret"),
        (b"COOKIE", b"a=1; strangler_side=candidate:s3cret; b=2"),
        (b"Referer", b"https://blog.example/?token=s3cret&page=2"),
        (b"X-Strangler-Side", b"candidate s3cret"),
        (b"Accept", b"text/html"),
        (b"Accept", b"\xff\x1b[2J"),
        (b"Origin", b"not asked for"),
    ]
    assert told(settings, headers=headers)["headers"] == {
        "authorization": "***",
        "cookie": "a=1; strangler_side=***; b=2",
        "referer": "https://blog.example/?token=***&page=2",
        "x-strangler-side": "***",
        "accept": "text/html, \\xff\x1b[2J",
    }


@given(st.binary(max_size=200), st.text(max_size=200))
def test_nothing_that_a_client_sends_ends_a_line_or_leaves_ascii(raw: bytes, text: str) -> None:
    line = AccessLog(Settings()).line(
        record(target=raw, method=raw, request_id=raw, subject=text, headers=[(b"user-agent", raw)])
    )
    assert line.count(b"\n") == 1
    assert all(0x20 <= byte < 0x7F for byte in line[:-1])
    assert json.loads(line)["subject"] == text


def test_half_a_surrogate_pair_is_written_all_the_same() -> None:
    assert told(subject="\ud800")["subject"] == "\ud800"


def test_values_are_cut_to_two_kibibytes_and_lines_to_what_a_pipe_takes_whole() -> None:
    path = told(target=b"/" + b"a" * 3000)["path"]
    assert (len(path), path[-1]) == (2049, "…")
    names = tuple(f"x-{number}" for number in range(100))
    settings = Settings(headers=names)
    headers = [(name.encode(), b"\xff" * 5000) for name in names]
    for given_headers in (headers[:2], headers):
        line = AccessLog(settings).line(record(target=b"\xfe" * 8000, headers=given_headers))
        assert len(line) <= PIPE_BYTES
        assert json.loads(line)["status"] == 200


def test_sample_is_the_same_for_the_same_request_and_failures_are_all_there() -> None:
    ids = [b"%d" % number for number in range(10_000)]
    tenth, fifth = (AccessLog(Settings(sample_percent=percent)) for percent in (10, 20))
    chosen = {request for request in ids if tenth.wants(request, 200)}
    assert 800 < len(chosen) < 1200
    assert chosen == {request for request in ids if tenth.wants(request, 404)}
    assert all(fifth.wants(request, 200) for request in chosen)
    assert all(tenth.wants(request, 502) for request in ids)
    none, every = (AccessLog(Settings(sample_percent=percent)) for percent in (0, 100))
    assert not any(none.wants(request, 200) for request in ids)
    assert all(every.wants(request, 200) for request in ids)


# --- the file


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_lines_are_in_the_file_soon_after_a_flush_and_all_at_the_close(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    log = AccessLog(Settings(path=str(path)))
    log.write(record())
    assert lines(path) == []
    log.flush()
    until(lambda: len(lines(path)) == 1, "the line is written")
    for _ in range(1000):
        log.write(record())
    log.close(5)
    assert len(lines(path)) == 1001
    log.write(record())
    assert log.dropped == 1


@pytest.mark.parametrize("how", ["renamed", "removed"])
def test_rotated_file_is_begun_anew(tmp_path: Path, how: str) -> None:
    path = tmp_path / "access.log"
    with closing(LogFile(str(path))) as file:
        file.write(b"one\n")
        file.flush()
        until(lambda: lines(path) == ["one"], "the first line is written")
        if how == "renamed":
            path.rename(tmp_path / "access.log.1")
        else:
            path.unlink()
        file.write(b"two\n")
        file.flush()
        until(lambda: lines(path) == ["two"], "the second line is in a new file")
    assert file.dropped == 0


def test_what_cannot_be_written_is_counted_and_the_file_is_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "not yet" / "access.log"
    with closing(LogFile(str(path))) as file:
        for expected in (2, 4):
            file.write(b"a\n")
            file.write(b"b\n")
            file.flush()
            until(lambda: file.dropped == expected, "the lines are counted")  # noqa: B023
            until(lambda: file._given == file._finished, "the thread is free")
        path.parent.mkdir()
        file.write(b"c\n")
        file.flush()
        until(lambda: lines(path) == ["c"], "the line is written")
    assert [entry.levelname for entry in caplog.records][:1] == ["ERROR"]
    assert sum(entry.levelname == "ERROR" for entry in caplog.records) == 1


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ours, theirs = os.pipe()
    yield ours, theirs
    for handle in (ours, theirs):
        try:
            os.close(handle)
        except OSError:
            continue


@pytest.mark.parametrize("blocking", [True, False])
def test_full_pipe_holds_nobody_up_and_memory_is_bounded(
    pipe: tuple[int, int], blocking: bool
) -> None:
    ours, theirs = pipe
    os.set_blocking(theirs, blocking)
    file = LogFile("-", theirs)
    line = b"x" * 999 + b"\n"
    most = MOST_BYTES // len(line)
    for _ in range(2 * most):
        file.write(line)  # would block for ever if it wrote by itself
    assert most * 0.9 < file.dropped <= most + 1
    read = bytearray()

    def drain() -> None:
        while piece := os.read(ours, 65_536):
            read.extend(piece)

    reader = threading.Thread(target=drain)
    reader.start()
    file.close(10)
    os.close(theirs)
    reader.join(10)
    assert not reader.is_alive()
    assert len(read) % len(line) == 0
    assert len(read) // len(line) == 2 * most - file.dropped


def test_process_ends_though_nobody_reads_its_pipe(pipe: tuple[int, int]) -> None:
    _, theirs = pipe
    script = (
        "from strangler_proxy.wire.log_file import LogFile\n"
        "file = LogFile('-')\n"
        "for _ in range(2000):\n"
        "    file.write(b'x' * 999 + b'\\n')\n"
        "file.close(0.05)\n"
    )
    subprocess.run([sys.executable, "-c", script], stdout=theirs, timeout=20, check=True)


def test_closed_reader_costs_lines_and_nothing_else(pipe: tuple[int, int]) -> None:
    ours, theirs = pipe
    os.close(ours)
    with closing(LogFile("-", theirs)) as file:
        file.write(b"a\n")
        file.flush()
        until(lambda: file.dropped == 1, "the line is counted")


def test_lines_of_several_workers_through_one_slow_pipe_stay_whole(
    pipe: tuple[int, int],
) -> None:
    ours, theirs = pipe
    fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    files = [LogFile("-", theirs) for _ in range(4)]
    for number, file in enumerate(files):
        for count in range(100):
            file.write(b"%d" % number * (300 + 7 * count) + b"\n")
    for file in files:
        file.close()
    got = bytearray()
    expected = sum(301 + 7 * count for count in range(100)) * 4
    while len(got) < expected:
        got += os.read(ours, 1000)
    assert len(got.splitlines()) == 400
    assert all(len(set(line)) == 1 for line in got.splitlines())


def test_line_cut_off_by_a_full_disk_is_not_glued_to_the_next(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    script = (
        "import resource, signal, sys, time\n"
        "from strangler_proxy.wire.log_file import LogFile\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "file = LogFile(sys.argv[1])\n"
        "def put(line):\n"
        "    file.write(line)\n"
        "    file.flush()\n"
        "    deadline = time.monotonic() + 10\n"
        "    while file._given != file._finished and time.monotonic() < deadline:\n"
        "        time.sleep(0.001)\n"
        "unlimited = resource.RLIM_INFINITY\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (6, unlimited))\n"
        "put(b'first\\n')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (9, unlimited))\n"
        "put(b'second\\n')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (unlimited, unlimited))\n"
        "put(b'third\\n')\n"
        "file.close(5)\n"
        "print(file.dropped)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "1\n"
    assert lines(path) == ["first", "sec", "third"]
