"""Two databases whose tables are paired, filled alike, to be made unlike by a test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from strangler_proxy.handover.databases.port import Pair, Row, Session
from strangler_proxy.handover.move import Move
from strangler_proxy.handover.pairing import pair_tables
from strangler_proxy.handover.verify import (
    Limits,
    Report,
    repair,
    verify,
)
from strangler_proxy.handover.verify.bisect import Sizes
from tests.integration.handover.conftest import Place
from tests.integration.handover.tables import write_rows

Make = Callable[[str], Place]
SMALL = Limits(looks=4, pause_s=0.01, statement_s=30, sizes=Sizes(64, 8, 64))
POSTS = (
    "CREATE TABLE posts (id BIGINT NOT NULL PRIMARY KEY, title VARCHAR(80) NOT NULL, "
    "price DECIMAL(10, 2), author_id BIGINT)"
)


@dataclass
class Sides:
    """Two databases whose tables are paired."""

    source: Place
    target: Place
    reads: Session
    writes: Session
    pairs: tuple[Pair, ...]

    @property
    def pair(self) -> Pair:
        return self.pairs[0]

    def copied(self, rows: list[Row], which: int = 0) -> None:
        """These rows on both sides."""
        pair = self.pairs[which]
        for session, side in ((self.reads, pair.source), (self.writes, pair.target)):
            with session.transaction():
                write_rows(session, side, rows)

    def verify(self, limits: Limits = SMALL, **options: Any) -> Report:
        return verify(
            self.pairs, self.source.database, self.target.database, limits=limits, **options
        )

    def repair(self, report: Report, **options: Any) -> Report:
        databases = self.source.database, self.target.database
        return repair(report, self.pairs, *databases, mover="m", limits=SMALL, **options)


def sides(
    places: tuple[Place, Place], source: list[str], target: list[str], *tables: dict[str, Any]
) -> Sides:
    one, other = places
    # Without foreign keys: what is unlike on purpose may break them.
    reads, writes = one.session(), other.session("m")
    for session, statements in ((reads, source), (writes, target)):
        for statement in statements:
            session.execute(statement)
    move = Move.model_validate(
        {"name": "m", "source_env": "A", "target_env": "B", "tables": list(tables)}
    )
    return Sides(one, other, reads, writes, pair_tables(move, reads, writes))


def posts(places: tuple[Place, Place], number: int = 500) -> Sides:
    it = sides(places, [POSTS], [POSTS], {"table": "posts"})
    it.copied([post(key) for key in range(number)])
    return it


def post(key: int) -> Row:
    price = None if key % 7 == 0 else Decimal(key * 10) / 100
    return (key, f"Title {key} ä", price, key % 10)


def told(report: Report) -> dict[Row, str]:
    return {difference.key: difference.what for difference in report.differences}
