"""One run: the posts are made, then copied in rounds by every contender in turn.

A contender that fails, or whose copy is not equal, is left out of further rounds; its result says
why, and the others go on. Databases that were made here are dropped at the end, also after Ctrl-C.
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from scripts.benchmarks import machine
from scripts.benchmarks.handover.contenders import Contender, Places
from scripts.benchmarks.handover.copy import MOVE
from scripts.benchmarks.handover.posts import TABLE, fill_postgresql, fill_sqlite
from scripts.benchmarks.handover.result import Copy, CopyResult, HandoverResult
from strangler_proxy.handover.naming import checkpoint_table

Progress = Callable[[str], None]
SERVER = "postgresql://postgres@127.0.0.1:5432/postgres"
_LIMIT_S = 600
_SUM = "SELECT count(*), sum(hashtext(posts::text)::bigint) FROM posts"


class NoServer(Exception):
    """There is no PostgreSQL to measure with."""


def server_url() -> str:
    """Where PostgreSQL is: TEST_POSTGRES_URL, in a spelling that libpq takes, or the usual port."""
    url = urlsplit(os.environ.get("TEST_POSTGRES_URL", SERVER))
    return urlunsplit(url._replace(scheme="postgresql", path="/postgres"))


def run(
    contenders: Sequence[Contender], rows: int, rounds: int, progress: Progress
) -> HandoverResult:
    """Measure; raises NoServer when PostgreSQL does not answer."""
    server = server_url()
    try:
        with psycopg.connect(server, connect_timeout=5) as connection:
            version = str(connection.info.parameter_status("server_version"))
    except psycopg.OperationalError as fault:
        told = str(fault).strip().partition("\n")[0]
        raise NoServer(f"{told}; TEST_POSTGRES_URL names another server") from fault
    results = [CopyResult(one, absent=one.absent()) for one in contenders]
    result = HandoverResult(
        started_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        rows=rows,
        rounds=rounds,
        machine=machine.describe(),
        server=f"PostgreSQL {version}",
        results=results,
    )
    present = [one for one in results if not one.absent]
    for one in present:
        one.version = one.contender.version()
    with _filled(server, rows // 10, progress) as small:
        for one in present:
            progress(f"a tenth of the rows: {one.contender.name}")
            one.tenth = _measured(one, small)
    with _filled(server, rows, progress) as places:
        for number in range(1, rounds + 1):
            for one in present:
                progress(f"round {number} of {rounds}: {one.contender.name}")
                copy = _measured(one, places)
                if copy:
                    one.copies.append(copy)
    return result


@dataclass(frozen=True, slots=True)
class _Made:
    places: Places
    equal: tuple[object, ...]  # what the sum over a right copy is


@contextmanager
def _filled(server: str, rows: int, progress: Progress) -> Iterator[_Made]:
    name = f"strangler_bench_{os.getpid()}"
    urls = {side: _database(server, f"{name}_{side}") for side in ("source", "target")}
    with tempfile.TemporaryDirectory(prefix="strangler-bench-") as folder:
        sqlite = Path(folder) / "posts.db"
        places = Places(urls["source"], sqlite, urls["target"], Path(folder))
        try:
            with psycopg.connect(server, autocommit=True) as connection:
                for side in urls:
                    connection.execute(f"CREATE DATABASE {name}_{side}")
            progress(f"making {rows:,} posts")
            fill_postgresql(places.postgresql, rows)
            fill_sqlite(sqlite, rows)
            with psycopg.connect(places.target) as connection:
                connection.execute(TABLE)
            yield _Made(places, _sum(places.postgresql))
        finally:
            with psycopg.connect(server, autocommit=True) as connection:
                for side in urls:
                    connection.execute(f"DROP DATABASE IF EXISTS {name}_{side} WITH (FORCE)")


def _database(server: str, name: str) -> str:
    return urlunsplit(urlsplit(server)._replace(path=f"/{name}"))


def _sum(url: str) -> tuple[object, ...]:
    with psycopg.connect(url) as connection:
        return connection.execute(_SUM).fetchone() or ()


def _measured(one: CopyResult, made: _Made) -> Copy | None:
    """One copy, or None with the fault noted; a contender that has failed is not tried again."""
    if one.faults:
        return None
    with psycopg.connect(made.places.target, autocommit=True) as connection:
        connection.execute("TRUNCATE posts")
        connection.execute(f"DROP TABLE IF EXISTS {checkpoint_table(MOVE)}")
        connection.execute("CHECKPOINT")  # each begins with nothing of another's left to write
    try:
        copy = timed(one.contender.command(made.places))
    except (OSError, subprocess.SubprocessError) as fault:
        one.faults.append(str(fault))
        return None
    if _sum(made.places.target) != made.equal:
        one.faults.append("its copy is not equal")
        return None
    return copy


def timed(command: list[str]) -> Copy:
    """Run it to its end; subprocess.SubprocessError tells how else it ended."""
    with tempfile.TemporaryFile() as output:
        started = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            usage = _ended(process, started + _LIMIT_S)
        finally:
            if process.returncode is None:
                process.kill()
                process.wait()
        copy = replace(usage, seconds=time.monotonic() - started)
        if process.returncode:
            output.seek(0)
            words = output.read().decode(errors="replace").strip()[-300:]
            raise subprocess.SubprocessError(f"exit status {process.returncode}: {words}")
    return copy


def _ended(process: "subprocess.Popen[bytes]", deadline: float) -> Copy:
    """Wait for the process, and take what the kernel says it has used."""
    peak_bytes = 0
    while True:
        # Not wait4's ru_maxrss: that begins with the memory of whoever started the process.
        peak_bytes = max(peak_bytes, _peak_bytes(process.pid))
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return Copy(0.0, usage.ru_utime + usage.ru_stime, peak_bytes)
        if time.monotonic() > deadline:
            raise subprocess.SubprocessError(f"not done after {_LIMIT_S} s")
        time.sleep(0.01)


def _peak_bytes(pid: int) -> int:
    """The most memory that a process and its children have had, each by itself."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0  # it has just ended
    own = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)
    return own + sum(_peak_bytes(int(child)) for child in children)
