"""How fast a verification is, beside reladiff: `-m scripts.benchmarks.handover.verify --help`.

Both compare every column of the same two equal tables of a blog's posts, by turns: A B, A B. What
is timed is the whole command. Before that, three rows are made unlike (one missing, one extra, one
changed) and each must find exactly these: the speed of what finds nothing says nothing. reladiff
does not read SQLite, so that pair stands alone. Databases that were made here are dropped.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, field
from os import environ, getpid
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pymysql

from scripts.benchmarks import machine
from scripts.benchmarks.figures import spread
from scripts.benchmarks.handover.posts import fill_postgresql, fill_sqlite, posts
from scripts.benchmarks.handover.result import Copy
from scripts.benchmarks.handover.run import server_url, timed
from scripts.benchmarks.peers.peer import PEERS_VENV
from strangler_proxy.handover.databases import open_database
from strangler_proxy.handover.move import Move
from strangler_proxy.handover.pairing import pair_tables
from strangler_proxy.handover.verify import verify

RELADIFF = PEERS_VENV / "bin" / "reladiff"
REQUIREMENT = "reladiff[postgresql,mysql]>=0.6,<1"
COLUMNS = ("title", "body", "author_id", "created_at", "updated_at", "published", "price")
MYSQL = "mysql://root@127.0.0.1:3306/"
MYSQL_TABLE = """CREATE TABLE posts (
    id INTEGER PRIMARY KEY, title VARCHAR(200) NOT NULL, body TEXT NOT NULL,
    author_id INTEGER NOT NULL, created_at DATETIME(6) NOT NULL, updated_at DATETIME(6),
    published BOOLEAN NOT NULL, price NUMERIC(10, 2)) CHARACTER SET utf8mb4"""
UNLIKE = (
    "DELETE FROM posts WHERE id = 7",
    "UPDATE posts SET body = 'changed' WHERE id = 11",
    "UPDATE posts SET id = -13 WHERE id = 13",
)
ALIKE = (
    "UPDATE posts SET id = 13 WHERE id = -13",
    "INSERT INTO posts SELECT * FROM kept WHERE id = 7",
    "UPDATE posts SET body = (SELECT body FROM kept WHERE id = 11) WHERE id = 11",
)
_KEPT = "CREATE TABLE kept AS SELECT * FROM posts WHERE id IN (7, 11)"
_UNLIKE_KEYS = {"7", "11", "13", "-13"}
_INSTALL_S = 600


@dataclass(frozen=True, slots=True)
class Case:
    """Two tables, and who compares them; what each prints of a difference holds its key."""

    name: str
    source: str
    target: str
    contenders: tuple[str, ...]


@dataclass(slots=True)
class Outcome:
    """All rounds of a contender at a case."""

    runs: list[Copy] = field(default_factory=list)
    tenth: Copy | None = None
    fault: str | None = None


def command(contender: str, case: Case) -> list[str]:
    """What is run and timed."""
    if contender == "strangler":
        module = "scripts.benchmarks.handover.verify"
        return [sys.executable, "-m", module, "--once", case.source, case.target]
    columns = [part for column in COLUMNS for part in ("-c", column)]
    sides = [case.source, "posts", case.target, "posts"]
    return [str(RELADIFF), *sides, "-k", "id", *columns, "--algorithm", "hashdiff"]


def once(source_url: str, target_url: str) -> int:
    """Verify the posts; prints the keys of rows that differ, and is 1 then."""
    source, target = open_database(source_url), open_database(target_url)
    tables = [{"table": "posts"}]
    move = {"name": "bench", "source_env": "A", "target_env": "B", "tables": tables}
    with closing(source.session()) as one, closing(target.session()) as other:
        pairs = pair_tables(Move.model_validate(move), one, other)
    report = verify(pairs, source, target)
    for difference in report.differences:
        print(difference.key[0])
    return int(not report.agrees)


def keys_told(contender: str, case: Case) -> set[str]:
    """The keys of the rows that a contender says differ."""
    told = subprocess.run(
        command(contender, case), capture_output=True, text=True, timeout=600, check=False
    ).stdout.split("\n")
    if contender == "strangler":
        return {line for line in told if line}
    return {line[2:].split(",")[0] for line in told if line[:2] in ("+ ", "- ")}


@contextmanager
def filled(rows: int, progress: Callable[[str], None]) -> Iterator[list[Case]]:
    """The tables of every case, equal; those that a server is missing for are left out."""
    name = f"strangler_bench_{getpid()}"
    server = server_url()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="strangler-bench-")))
        one, other = (
            stack.enter_context(_postgresql(server, f"{name}_{side}")) for side in ("a", "b")
        )
        progress(f"making {rows:,} posts in PostgreSQL, twice")
        for url in (one, other):
            fill_postgresql(url, rows)
        progress(f"making {rows:,} posts in SQLite")
        fill_sqlite(folder / "posts.db", rows)
        peers = ("strangler", "reladiff") if RELADIFF.exists() else ("strangler",)
        cases = [
            Case("PostgreSQL, PostgreSQL", one, other, peers),
            Case("SQLite, PostgreSQL", f"sqlite:///{folder / 'posts.db'}", other, ("strangler",)),
        ]
        try:
            mysql = stack.enter_context(_mysql(environ.get("BENCH_MYSQL_URL", MYSQL), name))
        except pymysql.err.OperationalError as fault:
            progress(f"no MySQL or MariaDB to measure with: {fault}")
        else:
            progress(f"making {rows:,} posts in MySQL")
            _fill_mysql(mysql, rows, folder / "posts.tsv")
            cases.insert(1, Case("PostgreSQL, MySQL", one, mysql, peers))
        yield cases


@contextmanager
def _postgresql(server: str, name: str) -> Iterator[str]:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    try:
        yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def _mysql(server: str, name: str) -> Iterator[str]:
    with closing(_mysql_connection(server)) as connection:
        connection.cursor().execute(f"CREATE DATABASE {name}")
    try:
        yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    finally:
        with closing(_mysql_connection(server)) as connection:
            connection.cursor().execute(f"DROP DATABASE {name}")


def _mysql_connection(url: str) -> "pymysql.Connection":
    where = urlsplit(url)
    return pymysql.connect(
        host=where.hostname,
        port=where.port or 3306,
        user=where.username,
        password=where.password or "",
        database=where.path.lstrip("/") or None,
        charset="utf8mb4",
        local_infile=True,
        autocommit=True,
    )


def _fill_mysql(url: str, rows: int, file: Path) -> None:
    with file.open("w", encoding="utf-8") as lines:
        for row in posts(rows):
            lines.write("\t".join(map(_field, row)) + "\n")
    with closing(_mysql_connection(url)) as connection:
        cursor = connection.cursor()
        cursor.execute(MYSQL_TABLE)
        load = "LOAD DATA LOCAL INFILE %s INTO TABLE posts CHARACTER SET utf8mb4"
        cursor.execute(load, (str(file),))
        cursor.execute("ANALYZE TABLE posts")
    file.unlink()


def _field(value: object) -> str:
    if value is None:
        return "\\N"
    if isinstance(value, bool):
        return str(int(value))
    return str(value).replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")


def _execute(url: str, *statements: str) -> None:
    connection = (
        psycopg.connect(url, autocommit=True)
        if url.startswith("postgresql")
        else _mysql_connection(url)
    )
    with closing(connection), connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def measure(rows: int, rounds: int, progress: Callable[[str], None]) -> dict[str, Outcome]:
    """Prove, then time, every contender at every case."""
    outcomes: dict[str, Outcome] = {}
    with filled(rows // 10, progress) as cases:
        for case, contender, outcome in _each(cases, outcomes):
            progress(f"a tenth of the rows, {case.name}: {contender}")
            outcome.fault = _unproven(case, contender)
            if not outcome.fault:
                outcome.tenth = timed(command(contender, case))
    with filled(rows, progress) as cases:
        for number in range(1, rounds + 1):
            for case, contender, outcome in _each(cases, outcomes):
                progress(f"round {number} of {rounds}, {case.name}: {contender}")
                if not outcome.fault:
                    outcome.runs.append(timed(command(contender, case)))
    return outcomes


def _each(cases: list[Case], outcomes: dict[str, Outcome]) -> Iterator[tuple[Case, str, Outcome]]:
    for case in cases:
        for contender in case.contenders:
            yield case, contender, outcomes.setdefault(f"{case.name}: {contender}", Outcome())


def _unproven(case: Case, contender: str) -> str | None:
    _execute(case.target, _KEPT, *UNLIKE)
    try:
        told = keys_told(contender, case)
    finally:
        _execute(case.target, *ALIKE, "DROP TABLE kept")
    return None if told == _UNLIKE_KEYS else f"says that {sorted(told)} differ"


def _line(name: str, outcome: Outcome, rows: int) -> str:
    if outcome.fault or not outcome.runs or not outcome.tenth:
        return f"{name:38} {outcome.fault or 'was not measured'}"
    seconds = spread(run.seconds for run in outcome.runs)
    peak = max(run.peak_bytes for run in outcome.runs)
    memory = f"{peak / 1e6:.0f} MB ({outcome.tenth.peak_bytes / 1e6:.0f} MB for a tenth)"
    each = ", ".join(f"{run.seconds:.2f}" for run in outcome.runs)
    rate = f"{seconds.median:6.2f} s  {rows / seconds.median:9,.0f} rows/s"
    return f"{name:38} {rate}  {memory}  [{each}]"


def install() -> int:
    """Bring reladiff into .venv-bench."""
    python = PEERS_VENV / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEERS_VENV)], timeout=60, check=True)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    ended = subprocess.run([*pip, REQUIREMENT], timeout=_INSTALL_S, check=False)
    return 3 if ended.returncode else 0


def main() -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, prog="scripts.benchmarks.handover.verify")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write every run to this file")
    parser.add_argument("--install", action="store_true", help="bring reladiff into .venv-bench")
    parser.add_argument("--once", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.install:
        return install()
    if options.once:
        return once(*options.once)
    outcomes = measure(
        options.rows, options.rounds, lambda told: print(f"bench: {told}", file=sys.stderr)
    )
    for name, outcome in outcomes.items():
        print(_line(name, outcome, options.rows))
    if options.json:
        found = {name: asdict(outcome) for name, outcome in outcomes.items()}
        options.json.write_text(
            json.dumps({"rows": options.rows, "machine": asdict(machine.describe()), **found})
        )
    return int(any(outcome.fault for outcome in outcomes.values()))


if __name__ == "__main__":
    raise SystemExit(main())
