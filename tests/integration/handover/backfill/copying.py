"""Source and target of a first copy, of any two kinds of databases."""

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from strangler_proxy.handover.backfill import Limits, backfill
from strangler_proxy.handover.databases import open_database
from strangler_proxy.handover.databases.conversion import reading, writing
from strangler_proxy.handover.databases.port import Kind
from strangler_proxy.handover.move import Move
from strangler_proxy.handover.pairing import pair_tables
from tests.services import scratch_database

MOVE = "blog"
KINDS = ["sqlite", "postgresql", "mysql"]


def served(*values: str):
    """Parameters of a test that needs servers."""
    return pytest.param(*values, marks=pytest.mark.services)


PAIRS = [(a, b) if a == b == "sqlite" else served(a, b) for a in KINDS for b in KINDS]
TYPES = {
    "sqlite": {
        "double": "REAL", "blob": "BLOB", "stamp": "TIMESTAMP", "uuid": "CHAR(36)", "json": "JSON",
        "text": "TEXT", "utf8": "", "uuid16": "BLOB",
    },
    "postgresql": {
        "double": "DOUBLE PRECISION", "blob": "BYTEA", "stamp": "TIMESTAMP(6)", "uuid": "UUID",
        "json": "JSONB", "text": "TEXT", "utf8": "", "uuid16": "BYTEA",
    },
    "mysql": {
        "double": "DOUBLE", "blob": "LONGBLOB", "stamp": "DATETIME(6)", "json": "JSON",
        "uuid": "CHAR(36) COLLATE utf8mb4_bin", "text": "LONGTEXT", "utf8": " COLLATE utf8mb4_bin",
        "uuid16": "BINARY(16)",
    },
}  # fmt: skip


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    if kind == "sqlite":
        path = folder / f"{uuid.uuid4().hex}.db"
        path.touch()
        yield f"sqlite:///{path}"
    else:
        with scratch_database(kind) as url:
            yield url


MEANT = {
    "id": Kind.INTEGER, "label": Kind.TEXT, "words": Kind.TEXT, "amount": Kind.DECIMAL,
    "bytes": Kind.BINARY, "flag": Kind.BOOLEAN, "moment": Kind.TIMESTAMP, "day": Kind.DATE,
    "ident": Kind.UUID, "at": Kind.TIMESTAMP, "price": Kind.DECIMAL,
}  # fmt: skip


def meant(side, **kinds):
    """A side with the kinds that the tests mean: two alike may agree on a simpler one."""
    kinds = MEANT | kinds
    cells = tuple(replace(cell, kind=kinds.get(cell.name, cell.kind)) for cell in side.cells)
    return replace(side, cells=cells)


class Side:
    """A database for tests."""

    def __init__(self, kind: str, url: str) -> None:
        self.url = url
        self.types = TYPES[kind]
        self.database = open_database(url)
        self.session = self.database.session()

    def make(self, *statements: str) -> None:
        for statement in statements:
            self.session.execute(statement.format(**self.types).replace("%", "%%"))

    def put(self, side, rows, **kinds) -> None:
        dialect, side = self.session.dialect, meant(side, **kinds)
        with self.session.transaction():
            self.session.execute_many(dialect.insert(side), writing(dialect, side.cells)(rows))

    def rows(self, side, **kinds) -> list:
        dialect, side = self.session.dialect, meant(side, **kinds)
        found = self.session.rows(dialect.page(side, after=False, rows=10**6))
        return sorted(reading(dialect, side.cells)(found), key=side.key_of)


class Both:
    """Source and target with the same tables; copies between them and compares."""

    def __init__(self, source: Side, target: Side) -> None:
        self.source, self.target = source, target
        self.later: list = []
        self.told: list = []

    def make(self, *statements: str) -> None:
        for side in (self.source, self.target):
            side.make(*statements)

    def pairs(self, *tables: str):
        declared = [{"table": table} for table in tables]
        move = Move.model_validate(
            {"name": MOVE, "source_env": "A", "target_env": "B", "routes": [], "tables": declared}
        )
        return pair_tables(move, self.source.session, self.target.session)

    def leave(self, pair, key) -> None:
        self.later.append((pair.source.table.name.name, key))

    def copy(self, pairs, report=None, source=None, later=None, **limits) -> None:
        backfill(
            pairs,
            source or self.source.database,
            self.target.database,
            MOVE,
            later or self.leave,
            report or self.told.append,
            Limits(**limits),
        )

    def assert_equal(self, pair, **kinds) -> None:
        assert self.target.rows(pair.target, **kinds) == self.source.rows(pair.source, **kinds)


@contextmanager
def both(source: str, target: str, folder: Path) -> Iterator[Both]:
    with ExitStack() as opened:
        sides = []
        for kind in (source, target):
            side = Side(kind, opened.enter_context(database(kind, folder)))
            opened.callback(side.session.close)
            sides.append(side)
        yield Both(*sides)


def checkpoint(two: Both) -> int:
    return two.target.session.scalar(f"SELECT moved_rows FROM strangler_{MOVE}_checkpoint")
