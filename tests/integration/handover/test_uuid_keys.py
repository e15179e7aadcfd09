"""Rows named by UUIDs are copied, tailed and verified, however each side keeps and orders them."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator

import pytest

from strangler_proxy.handover.backfill import Limits, backfill
from strangler_proxy.handover.databases.port import Kind, Session, Side
from strangler_proxy.handover.faults import HandoverRefused
from strangler_proxy.handover.verify import verify
from tests.integration.handover.conftest import PAIRS, Place
from tests.integration.handover.tables import write_rows
from tests.integration.handover.test_tail import Moving, moving

Make = Callable[[str], Place]
EACH = 1_250
WAYS = {
    "sqlite": ("UUID", "CHAR(36)", "BLOB", "CHAR(32)"),
    "postgresql": ("uuid", "varchar(36)", "bytea", "char(32)"),
    "mysql": (
        "uuid",  # MariaDB's, which orders some versions by their last group first
        "char(36) COLLATE utf8mb4_bin",
        "binary(16)",
        "char(32) COLLATE utf8mb4_bin",
    ),
}
"""How a UUID may be kept: a type of its own, text, bytes, text without hyphens."""


def uuids(rng: random.Random) -> Iterator[uuid.UUID]:
    """Of the versions 1, 4 and 7, one after the other."""
    while True:
        low = (1 << 63) | rng.getrandbits(62)
        yield uuid.UUID(int=(rng.getrandbits(48) << 80 | 1 << 76 | rng.getrandbits(12) << 64) | low)
        yield uuid.UUID(int=rng.getrandbits(128), version=4)
        millisecond = 1_700_000_000_000 + rng.randrange(10**10)
        yield uuid.UUID(int=(millisecond << 80 | 7 << 76 | rng.getrandbits(12) << 64) | low)


def put(session: Session, side: Side, ids: list[uuid.UUID]) -> None:
    """Rows with these keys, as text or bytes where both sides have agreed on that."""
    (key,) = side.key_cells
    short = "32" in (key.column.declared if key.column else "")
    spelled = {
        Kind.UUID: lambda one: one,
        Kind.TEXT: (lambda one: one.hex) if short else str,
        Kind.BINARY: lambda one: one.bytes,
    }[key.kind]
    with session.transaction():
        write_rows(session, side, [(spelled(one), place) for place, one in enumerate(ids)])


def tables(kind: str, turned: int) -> list[str]:
    """One for each way, and again with the ways turned."""
    ways = WAYS[kind]
    return [
        f"CREATE TABLE t{place} (id {ways[way % 4]} NOT NULL PRIMARY KEY, n INTEGER)"
        for place, way in enumerate([*range(4), *range(turned, turned + 4)])
    ]


@pytest.fixture(params=PAIRS)
def it(request: pytest.FixtureRequest, place: Make) -> Moving:
    """Eight tables, of every way into its like and into the next one."""
    source, target = request.param
    names = [{"table": f"t{place}"} for place in range(8)]
    places = place(source), place(target)
    return moving(places, tables(source, 0), tables(target, 1), *names)


def test_ten_thousand_of_three_versions_arrive_and_their_changes_follow(it: Moving) -> None:
    rng = random.Random(17)
    numbers, kept = uuids(rng), {}
    for pair in it.pairs:
        kept[pair] = [next(numbers) for _ in range(EACH)]
        put(it.source.session("m"), pair.source, kept[pair])
    left: list[object] = []
    backfill(
        it.pairs,
        it.source.database,
        it.target.database,
        "m",
        lambda *row: left.append(row),
        limits=Limits(budget_s=0.1),
    )
    assert not left
    for pair in it.pairs:
        changed, new = rng.sample(kept[pair], 30), [next(numbers) for _ in range(30)]
        put(it.writer, pair.source, [*new, *changed[:15]])
        for row in it.writer.rows(it.writer.dialect.page(pair.source, False, 15)):
            key = it.writer.dialect.by_keys(pair.source, 1).partition("WHERE ")[2]
            name = it.writer.dialect.table(pair.source.table.name)
            it.writer.execute(f"DELETE FROM {name} WHERE {key}", pair.source.key_of(row))
    it.drain()
    report = verify(it.pairs, it.source.database, it.target.database)
    assert report.agrees, report.differences
    for pair in it.pairs:
        name = it.reader.dialect.table(pair.target.table.name)
        assert it.reader.scalar(f"SELECT count(*) FROM {name}") == EACH + 15


@pytest.mark.services
def test_what_mariadb_takes_for_no_uuid_is_refused_by_its_row(place: Make) -> None:
    it = moving(
        (place("postgresql"), place("mysql")),
        ["CREATE TABLE t (id uuid PRIMARY KEY, n integer)"],
        ["CREATE TABLE t (id uuid NOT NULL PRIMARY KEY, n integer)"],
        {"table": "t"},
    )
    strange = "7fffffff-ffff-ffff-0fff-ffffffffffff"  # no version, and no variant of RFC 9562
    it.writer.execute(f"INSERT INTO t VALUES ('{strange}', 1)")
    with pytest.raises(HandoverRefused, match=f"row {strange}: .*uuid"):
        backfill(it.pairs, it.source.database, it.target.database, "m", lambda *_: None)
