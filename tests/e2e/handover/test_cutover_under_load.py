"""Writers through a real proxy, to two real services, while their table goes there and back."""

from __future__ import annotations

import signal
import sqlite3
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from strangler_proxy.handover import reverse
from strangler_proxy.handover.capture import Capture
from strangler_proxy.handover.crossing import open_crossing
from strangler_proxy.handover.cutover import Wishes
from strangler_proxy.handover.verify import verify
from strangler_proxy.handover.way import Owner
from tests.e2e.handover.load import CLIENTS
from tests.e2e.handover.mover import cut_over, first_way, owned, resume
from tests.e2e.proxy.conftest import Served
from tests.wire_tools.proxy import until

RATE = 500.0


class Moving:
    """Two services behind a proxy, their databases, and clients that write."""

    rate = RATE

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack, self._folder = stack, folder
        self.files = {owner: folder / f"{owner}.db" for owner in Owner}
        for owner, path in self.files.items():
            _make(path, counters=owner == Owner.CONTROL)
        self.first = first_way(*self.files.values())
        Capture(self.first.source, "notes", [it.source for it in self.first.pairs]).install()
        reverse.install(self.first)
        _run(self.files[Owner.CONTROL], "UPDATE counters SET n = n")
        self.config = folder / "strangler.yaml"
        ports = {owner: self._service(path) for owner, path in self.files.items()}
        self.config.write_text(
            "listen: 127.0.0.1:0\n"
            "upstreams:\n"
            f"  old: {{url: 'http://127.0.0.1:{ports[Owner.CONTROL]}'}}\n"
            f"  new: {{url: 'http://127.0.0.1:{ports[Owner.CANDIDATE]}'}}\n"
            "default: old\n"
            "routes:\n"
            "  - name: notes\n"
            "    match: POST /notes\n"
            "    control: old\n"
            "    candidate: new\n"
            "    serve: control  # until its table has moved\n"
        )
        self.served = Served(self.config, workers=2)
        stack.callback(self.served.stop)
        self._more(stack)
        self._answers = folder / "answers"
        self._load = self._python("load", str(self.served.port), str(self.rate), str(self._answers))

    def _more(self, stack: ExitStack) -> None:
        """What else is to be there before clients write."""

    def _service(self, path: Path) -> int:
        process = self._python("service", f"sqlite:///{path}")
        assert process.stdout is not None
        return int(process.stdout.readline())

    def _python(self, module: str, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", f"tests.e2e.handover.{module}", *arguments],
            stdout=subprocess.PIPE,
            text=True,
        )
        self._stack.callback(_end, process)
        return process

    def answers(self) -> list[list[str]]:
        """(note, status, seconds, text) of each answer until now."""
        lines = self._answers.read_text().splitlines() if self._answers.exists() else []
        return [line.split(" ", 3) for line in lines]

    def tail_while_writes_go_on(self, number: int) -> None:
        """The steady tail, until so many notes more are written."""
        wanted = len(self.answers()) + number
        with open_crossing(owned(self.first, self.config)) as crossing:
            until(
                lambda: crossing.step().entries >= 0 and len(self.answers()) >= wanted,
                "writes go on",
                30.0,
            )

    def killed_mover(self, step: str) -> None:
        """A mover that is killed behind a step, by the kernel."""
        files = map(str, self.files.values())
        ended = subprocess.run(
            [sys.executable, "-m", "tests.e2e.handover.mover", *files, str(self.config), step],
            timeout=60,
            capture_output=True,
            text=True,
        )
        assert ended.returncode == -signal.SIGKILL, ended.stdout + ended.stderr

    def end(self) -> None:
        """The clients end, and what they wrote last is carried over."""
        self._load.terminate()
        assert self._load.wait(20) == 0
        way = owned(self.first, self.config)
        with open_crossing(way) as crossing:
            while crossing.step().entries:
                pass
        report = verify(way.pairs, way.source, way.target)
        assert report.agrees, str(report)

    def wrong(self) -> list[list[str]]:
        return [answer for answer in self.answers() if answer[1] != "200"]

    def check(self) -> None:
        """Each acknowledged note is there once, and nothing else, on both sides."""
        written = sorted(note for note, status, *_ in self.answers() if status == "200")
        for path in self.files.values():
            assert sorted(word for (word,) in _run(path, "SELECT word FROM notes")) == written
            ((total,),) = _run(path, "SELECT sum(n) FROM counters")
            assert total == len(written)


def _make(path: Path, *, counters: bool) -> None:
    _run(path, "PRAGMA journal_mode = WAL")
    _run(path, "CREATE TABLE notes (id INTEGER PRIMARY KEY AUTOINCREMENT, word TEXT NOT NULL)")
    _run(path, "CREATE TABLE counters (id INTEGER NOT NULL PRIMARY KEY, n INTEGER NOT NULL)")
    for number in range(CLIENTS if counters else 0):
        _run(path, f"INSERT INTO counters VALUES ({number}, 0)")


def _run(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path, timeout=20, isolation_level=None)) as connection:
        return connection.execute(sql).fetchall()


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


@pytest.fixture
def moving(tmp_path: Path) -> Iterator[Moving]:
    with ExitStack() as stack:
        yield Moving(stack, tmp_path)


def test_writers_see_a_slower_answer_and_never_an_error(moving: Moving) -> None:
    holds = []
    for turn in range(10):
        moving.tail_while_writes_go_on(200)
        outcome = cut_over(moving.first, moving.config, Wishes(whole=turn % 5 == 0))
        assert outcome.done, outcome
        assert outcome.warnings == ()
        assert outcome.owner == [Owner.CANDIDATE, Owner.CONTROL][turn % 2]
        holds.append(outcome.hold_s)
    moving.tail_while_writes_go_on(200)
    moving.end()
    assert moving.wrong() == []
    moving.check()
    assert statistics.median(holds) < 0.5
    assert max(holds) < Wishes().hold_s


@pytest.mark.parametrize(
    "step", ["held", "fenced", "numbered", "decided", "flipped", "opened", "released"]
)
def test_a_mover_that_is_killed_loses_no_write(moving: Moving, step: str) -> None:
    moving.tail_while_writes_go_on(100)
    moving.killed_mover(step)
    outcome = resume(moving.first, moving.config)
    assert outcome is not None
    assert outcome.done == (step in ("decided", "flipped", "opened", "released"))
    moving.tail_while_writes_go_on(100)
    moving.end()
    if step not in ("decided", "flipped"):  # both sides are shut then, for longer than a hold
        assert moving.wrong() == []
    moving.check()
