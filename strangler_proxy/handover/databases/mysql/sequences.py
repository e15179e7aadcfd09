"""AUTO_INCREMENT of MySQL and MariaDB.

It stands outside of transactions, so it counts numbers whose rows were never committed. Setting it
is an ALTER TABLE of the table's description alone: it waits for every transaction that has used
the table, readers too.
"""

from strangler_proxy.handover.databases.mysql.dialect import MysqlDialect
from strangler_proxy.handover.databases.numbering import Generator
from strangler_proxy.handover.databases.port import Cell, Session, Side

_SQL = MysqlDialect()
_NEXT = """
SELECT auto_increment FROM information_schema.tables WHERE table_schema = %s AND table_name = %s
"""
_BYTES = {"tinyint": 1, "smallint": 2, "mediumint": 3, "int": 4, "bigint": 8}


class MysqlNumbering:
    """See numbering.NumberingSql."""

    def generator(self, session: Session, side: Side, cell: Cell) -> Generator | None:
        """The table's only one, if it is this column's."""
        if not cell.column or not cell.column.identity:
            return None
        table = side.table.name
        coming = session.scalar(_NEXT, (table.schema, table.name))
        return Generator(_SQL.table(table), (coming or 1) - 1, _largest(cell.column.declared))

    def advance(self, session: Session, side: Side, generator: Generator, last: int) -> None:
        """InnoDB itself never goes below the largest row."""
        session.execute(f"ALTER TABLE {generator.name} AUTO_INCREMENT = {last + 1:d}")


def _largest(declared: str) -> int:
    # The number of the row that cannot be given any more is the largest itself.
    bits = 8 * _BYTES.get(declared.partition("(")[0].split()[0], 8)
    return int(2 ** (bits if "unsigned" in declared else bits - 1)) - 2
