"""Sequences of PostgreSQL, behind identity columns and behind defaults (serial).

A sequence stands outside of transactions: what it says counts numbers whose rows were never
committed, and setting it cannot be rolled back.
"""

from strangler_proxy.handover.databases.numbering import Generator
from strangler_proxy.handover.databases.port import Cell, Session, Side, TableName
from strangler_proxy.handover.databases.postgresql.dialect import PostgresqlDialect
from strangler_proxy.handover.faults import HandoverRefused

_SQL = PostgresqlDialect()
_SEQUENCES = """
SELECT n.nspname, s.relname, q.seqincrement, q.seqmax
FROM pg_class c
JOIN pg_namespace m ON m.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid
JOIN pg_class s ON s.relkind = 'S' AND s.oid IN (
    SELECT d.objid FROM pg_depend d
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
      AND d.refobjid = c.oid AND d.refobjsubid = a.attnum AND d.deptype = 'i'
    UNION ALL
    SELECT d.refobjid FROM pg_attrdef f
    JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid
                    AND d.refclassid = 'pg_class'::regclass
    WHERE f.adrelid = c.oid AND f.adnum = a.attnum)
JOIN pg_sequence q ON q.seqrelid = s.oid
JOIN pg_namespace n ON n.oid = s.relnamespace
WHERE m.nspname = %s AND c.relname = %s AND a.attname = %s
"""


class PostgresqlNumbering:
    """See numbering.NumberingSql."""

    def generator(self, session: Session, side: Side, cell: Cell) -> Generator | None:
        """Its sequence; HandoverRefused where that cannot be found, or counts downwards."""
        if not cell.column or not cell.column.identity:
            return None
        table = side.table.name
        found = session.rows(_SEQUENCES, (table.schema, table.name, cell.name))
        if len(found) != 1:
            raise HandoverRefused(
                f"{table}.{cell.name} has numbers of a sequence that its default does not name: "
                "let the default be nextval of the sequence itself"
            )
        ((schema, name, step, largest),) = found
        if step < 0:
            raise HandoverRefused(
                f"{table}.{cell.name} counts downwards, which no other database can go on with"
            )
        sequence = _SQL.table(TableName(schema, name))
        ((last, called),) = session.rows(f"SELECT last_value, is_called FROM {sequence}")  # noqa: S608
        return Generator(sequence, last if called else last - step, largest, step)

    def advance(self, session: Session, side: Side, generator: Generator, last: int) -> None:
        """Never lower it."""
        session.rows(
            f"SELECT setval({_literal(generator.name)}::regclass, %s) "  # noqa: S608
            f"FROM {generator.name} WHERE last_value <= %s",
            (last, last),
        )


def _literal(escaped: str) -> str:
    return "'" + escaped.replace("'", "''") + "'"
