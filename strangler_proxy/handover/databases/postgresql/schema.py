"""PostgreSQL's tables, as its catalogue describes them. Reads only."""

from collections.abc import Callable, Sequence
from typing import Any

from strangler_proxy.handover.databases.port import Column, ForeignKey, Kind, Row, Table, TableName
from strangler_proxy.handover.faults import HandoverRefused

Rows = Callable[[str, Sequence[Any]], list[Row]]

_TEXT = (Kind.TEXT, Kind.UUID, Kind.JSON)
_KINDS: dict[str, tuple[Kind, ...]] = {
    "int2": (Kind.INTEGER,),
    "int4": (Kind.INTEGER,),
    "int8": (Kind.INTEGER,),
    "numeric": (Kind.DECIMAL, Kind.INTEGER),
    "float4": (Kind.FLOAT,),
    "float8": (Kind.FLOAT,),
    "text": _TEXT,
    "varchar": _TEXT,
    "bpchar": _TEXT,
    "citext": _TEXT,
    "bytea": (Kind.BINARY, Kind.UUID),
    "bool": (Kind.BOOLEAN,),
    "timestamp": (Kind.TIMESTAMP,),
    "timestamptz": (Kind.TIMESTAMP,),
    "date": (Kind.DATE,),
    "time": (Kind.TIME,),
    "uuid": (Kind.UUID,),
    "json": (Kind.JSON,),
    "jsonb": (Kind.JSON,),
}
_ACTIONS = {
    "a": "NO ACTION",
    "r": "RESTRICT",
    "c": "CASCADE",
    "n": "SET NULL",
    "d": "SET DEFAULT",
}

_TABLE = """
SELECT c.oid, n.nspname, c.relkind::text, c.relpersistence::text,
       EXISTS (SELECT FROM pg_inherits i WHERE c.oid IN (i.inhrelid, i.inhparent)),
       c.relrowsecurity AND NOT pg_has_role(c.relowner, 'USAGE')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND
      CASE WHEN %s::text IS NULL THEN pg_table_is_visible(c.oid) ELSE n.nspname = %s END
"""
_COLUMNS = """
SELECT a.attname, b.typname, format_type(b.oid, CASE t.typtype WHEN 'd' THEN t.typtypmod
       ELSE a.atttypmod END), b.typtype = 'e', a.attnotnull OR t.typnotnull, a.attgenerated <> '',
       a.attidentity <> '' OR COALESCE(pg_get_expr(d.adbin, d.adrelid), '') LIKE 'nextval(%%',
       CASE t.typtype WHEN 'd' THEN t.typtypmod ELSE a.atttypmod END, c.collname,
       a.atthasdef OR a.attidentity <> ''
FROM pg_attribute a
JOIN pg_type t ON t.oid = a.atttypid
JOIN pg_type b ON b.oid = CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_collation c ON c.oid = a.attcollation
WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""
_KEYS = """
SELECT i.indisprimary, array_agg(a.attname::text ORDER BY k.place)
FROM pg_index i
CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place)
LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
WHERE i.indrelid = %s AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
  AND k.place <= i.indnkeyatts
GROUP BY i.indexrelid, i.indisprimary ORDER BY i.indexrelid
"""
_FOREIGN_KEYS = """
SELECT (SELECT array_agg(a.attname::text ORDER BY k.place)
        FROM unnest(f.conkey) WITH ORDINALITY AS k (number, place)
        JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.number),
       n.nspname, c.relname,
       (SELECT array_agg(a.attname::text ORDER BY k.place)
        FROM unnest(f.confkey) WITH ORDINALITY AS k (number, place)
        JOIN pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.number),
       f.confdeltype::text, f.confupdtype::text
FROM pg_constraint f
JOIN pg_class c ON c.oid = f.confrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE f.contype = 'f' AND f.conrelid = %s ORDER BY f.conname
"""


def describe(rows: Rows, name: TableName) -> tuple[int, Table]:
    """The table's oid and the table; HandoverRefused says what cannot be moved."""
    found = rows(_TABLE, (name.name, name.schema, name.schema))
    if not found:
        raise HandoverRefused(f"there is no table {name}")
    oid, schema, kind, persistence, related, hidden = found[0]
    if kind != "r" or related:
        raise HandoverRefused(
            f"{name} is no ordinary table (a view, foreign, partitioned or inherited): its changes "
            "cannot be captured"
        )
    if persistence == "t":
        raise HandoverRefused(f"{name} is a temporary table, which only its own session sees")
    if hidden:
        raise HandoverRefused(f"{name} has row security: this role might not see all of its rows")
    keys = rows(_KEYS, (oid,))
    return oid, Table(
        TableName(schema, name.name),
        tuple(_column(row) for row in rows(_COLUMNS, (oid,))),
        next((tuple(columns) for primary, columns in keys if primary), ()),
        # An index over an expression has no column there; it names no rows.
        tuple(tuple(columns) for primary, columns in keys if not primary and None not in columns),
        tuple(
            ForeignKey(
                tuple(columns),
                TableName(to_schema, to),
                tuple(to_columns),
                _ACTIONS[on_delete],
                _ACTIONS[on_update],
            )
            for columns, to_schema, to, to_columns, on_delete, on_update in rows(
                _FOREIGN_KEYS, (oid,)
            )
        ),
    )


def _column(row: Row) -> Column:
    name, base, declared, enum, not_null, generated, numbered, modifier, collation, default = row
    return Column(
        name,
        declared,
        (Kind.TEXT,) if enum else _KINDS.get(base, ()),
        nullable=not not_null,
        generated=generated,
        identity=numbered,
        scale=_scale(base, modifier),
        collation=collation,
        has_default=default,
    )


def _scale(base: str, modifier: int) -> int | None:
    if base == "numeric" and modifier >= 4:
        scale = (modifier - 4) & 0x7FF  # eleven bits with a sign since PostgreSQL 15
        return scale - 0x800 if scale & 0x400 else scale
    if base in ("timestamp", "timestamptz", "time"):
        return 6 if modifier < 0 else modifier
    return None
