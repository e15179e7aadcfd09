"""The SQL that a verification asks of one side of a pair. Pure.

A digest is 60 bits of the MD5 of the row's canonical text. Where both sides are PostgreSQL and give
the same answer to PROBE, it is PostgreSQL's own hash of the record, 64 bits, at a fifth of the
price; a value whose types differ at the two sides, or that such a hash would equate with more than
is equal to it, goes into that record by its canonical text.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from strangler_proxy.handover.databases.canonical import Spelling, row_sql, value_sql
from strangler_proxy.handover.databases.port import (
    Cell,
    DatabaseKind,
    Dialect,
    Kind,
    Pair,
    Side,
)
from strangler_proxy.handover.verify.bisect import BUCKETS, Part

PROBE = (
    "SELECT hash_record_extended(ROW(1::int2, 2, 3::bigint, 1.50, 0.1::float8, true, "
    "'é'::text COLLATE \"C\", '\\x00ff'::bytea, '2024-02-29 01:02:03.5'::timestamp, "
    "'2024-02-29'::date, '01:02:03'::time, '2024-02-29 01:02:03.5+00'::timestamptz, "
    "'00000000-0000-0000-0000-00000000000a'::uuid, '{\"a\": [1, null]}'::jsonb, NULL::int), 0)"
)
"""PostgreSQL 14 and later; the answer differs where the machine's byte order does."""

_HASHED = {
    Kind.INTEGER: ("smallint", "integer", "bigint"),
    Kind.DECIMAL: ("numeric",),
    Kind.FLOAT: ("real", "double precision"),
    Kind.TEXT: ("text", "character varying"),
    Kind.BINARY: ("bytea",),
    Kind.BOOLEAN: ("boolean",),
    Kind.DATE: ("date",),
    Kind.TIMESTAMP: ("timestamp",),
    Kind.TIME: ("time",),
    Kind.UUID: ("uuid",),
    Kind.JSON: ("jsonb",),
}
_ORDERED = {
    Kind.INTEGER: ({"postgresql", "mysql", "sqlite"}),
    Kind.DECIMAL: ({"postgresql", "mysql"}),
    Kind.DATE: ({"postgresql", "mysql"}),
    Kind.TIMESTAMP: ({"postgresql", "mysql"}),
    # MariaDB's own type orders the last group first, and text orders by collation.
    Kind.UUID: ({"postgresql"}),
}
_PADDED = ("char(", "character(", "nchar", "bpchar")


def ordered(pair: Pair, kinds: tuple[DatabaseKind, DatabaseKind]) -> bool:
    """Whether both sides are sure to order the key's first column alike, without NULLs."""
    cells = pair.source.key_cells[0], pair.target.key_cells[0]
    agreed = _ORDERED.get(cells[0].kind, set[str]())
    null = any(cell.column is None or cell.column.nullable for cell in cells)
    native = cells[0].kind != Kind.UUID or all(_declared(cell) == "uuid" for cell in cells)
    return set(kinds) <= agreed and not null and native


def spellings(pair: Pair, kinds: tuple[DatabaseKind, DatabaseKind]) -> tuple[Spelling, ...]:
    """How each pair of cells is spelled alike."""
    return tuple(
        Spelling(
            padded=any(
                kind != "sqlite" and _declared(cell).startswith(_PADDED)
                for cell, kind in zip(cells, kinds, strict=True)
            ),
            jsonb=all(
                kind == "sqlite" or (kind == "postgresql" and _declared(cell) == "jsonb")
                for cell, kind in zip(cells, kinds, strict=True)
            )
            and "postgresql" in kinds,
        )
        for cells in zip(pair.source.cells, pair.target.cells, strict=True)
    )


def hashed(pair: Pair) -> tuple[bool, ...]:
    """Which cells PostgreSQL's own hash can take as they are, at both sides."""
    spelled = spellings(pair, ("postgresql", "postgresql"))
    return tuple(
        all(_declared(cell).startswith(_HASHED[cell.kind]) for cell in cells)
        and not spelling.padded
        and (cells[0].kind != Kind.TIMESTAMP or _zoned(cells[0]) == _zoned(cells[1]))
        and (cells[0].kind != Kind.TIME or not any(map(_zoned, cells)))
        for cells, spelling in zip(
            zip(pair.source.cells, pair.target.cells, strict=True), spelled, strict=True
        )
    )


@dataclass(frozen=True, slots=True)
class Statements:
    """The statements for one side. `native`: see `hashed`; empty where MD5 is used."""

    dialect: Dialect
    side: Side
    spelled: Sequence[Spelling]
    native: Sequence[bool] = ()

    def total(self, part: Part) -> str:
        """SELECT of the number of rows and the sum of their digests."""
        return f"SELECT count(*), {self._sum()}{self._from(part)}"

    def by_bucket(self, part: Part) -> str:
        """SELECT of bucket, number of rows, sum of digests; in SQLite one JSON of them."""
        if self.dialect.kind == "sqlite":
            texts = f"{self._text(self._key())}, {self._text(self._compared())}"
            return f"SELECT strangler_buckets({texts}){self._from(part)}"
        return f"SELECT {self._bucket()}, count(*), {self._sum()}{self._from(part)} GROUP BY 1"

    def found(self, part: Part) -> str:
        """SELECT of the key's values, by `read`, and the digest of each row."""
        key = ", ".join(self.dialect.read(cell).sql for cell in self.side.key_cells)
        return f"SELECT {key}, {self._digest()}{self._from(part)}"

    def cut(self, part: Part, rows: int) -> str:
        """SELECT of the first key column's value behind `rows` rows."""
        cell = self.side.key_cells[0]
        above = f"{self._where(part, above=True)} ORDER BY {cell.sql} LIMIT 1 OFFSET {rows:d}"
        return f"SELECT {self.dialect.read(cell).sql}{self._table()}{above}"

    def texts(self, keys: int) -> str:
        """SELECT of the key's values, by `read`, and the text of each cell, by raw keys."""
        text = [
            Cell(Kind.TEXT, value_sql(self.dialect, cell, spelling), None)
            for cell, spelling in zip(self.side.cells, self.spelled, strict=True)
        ]
        return self._by_keys(text, keys)

    def digests(self, keys: int) -> str:
        """SELECT of the key's values, by `read`, and the digest of each row, by raw keys."""
        return self._by_keys([Cell(Kind.INTEGER, self._digest(), None)], keys)

    def _by_keys(self, shown: Sequence[Cell], keys: int) -> str:
        cells = (*self.side.key_cells, *shown)
        side = Side(self.side.table, cells, tuple(range(len(self.side.key))))
        return self.dialect.by_keys(side, keys)

    def _from(self, part: Part) -> str:
        return f"{self._table()}{self._where(part)}"

    def _table(self) -> str:
        return f" FROM {self.dialect.table(self.side.table.name)}"

    def _where(self, part: Part, *, above: bool = False) -> str:
        cell = self.side.key_cells[0]
        parameter = self.dialect.write(cell).sql
        wanted = []
        if part.low is not None:
            wanted.append(f"{cell.sql} {'>' if above else '>='} {parameter}")
        if part.high is not None:
            wanted.append(f"{cell.sql} < {parameter}")
        if part.buckets is not None:
            wanted.append(f"{self._bucket()} IN ({', '.join(map(str, part.buckets))})")
        return f" WHERE {' AND '.join(wanted)}" if wanted else ""

    def _sum(self) -> str:
        if self.dialect.kind == "sqlite":
            return f"ifnull(strangler_sum({self._text(self._compared())}), 0)"
        return f"coalesce(sum({self._digest()}), 0)"

    def _digest(self) -> str:
        return self._digest_of(self._compared())

    def _bucket(self) -> str:
        return f"({self._digest_of(self._key())} & {BUCKETS - 1})"

    def _compared(self) -> Sequence[int]:
        return [place for place, cell in enumerate(self.side.cells) if cell.compared]

    def _key(self) -> Sequence[int]:
        return self.side.key

    def _digest_of(self, places: Sequence[int]) -> str:
        if self.native:
            values = ", ".join(self._hashable(place) for place in places)
            return f"hash_record_extended(ROW({values}), 0)"
        text = self._text(places)
        match self.dialect.kind:
            case "postgresql":
                return f"('x' || left(md5({text}), 15))::bit(60)::bigint"
            case "mysql":
                digest = f"ifnull(md5({text}), {self._digest_of_digests(places)})"
                return f"CAST(conv(left({digest}, 15), 16, 10) AS UNSIGNED)"
            case "sqlite":
                return f"strangler_digest({text})"

    def _digest_of_digests(self, places: Sequence[int]) -> str:
        """For rows whose text is longer than max_allowed_packet, which MySQL makes NULL."""
        each = [f"ifnull(md5({self.side.cells[place].sql}), '')" for place in places]
        return f"md5(concat_ws(',', {', '.join(each)}))"

    def _hashable(self, place: int) -> str:
        cell = self.side.cells[place]
        native = self.native[place]
        value = cell.sql if native else value_sql(self.dialect, cell, self.spelled[place])
        # A collation that ignores case would hash 'a' and 'A' alike.
        return f'({value}) COLLATE "C"' if cell.kind == Kind.TEXT or not native else value

    def _text(self, places: Sequence[int]) -> str:
        cells = [self.side.cells[place] for place in places]
        return row_sql(self.dialect, cells, [self.spelled[place] for place in places])


def _declared(cell: Cell) -> str:
    return cell.column.declared if cell.column else ""


def _zoned(cell: Cell) -> bool:
    return _declared(cell).endswith("with time zone")
