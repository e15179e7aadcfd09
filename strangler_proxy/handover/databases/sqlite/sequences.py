"""Numbers of new rows in SQLite: kept in sqlite_sequence for AUTOINCREMENT, and nowhere else.

A plain rowid goes on from the largest row that there is, so the number of a last row that was
deleted is given again; nothing can be done about that but to declare the table AUTOINCREMENT.
"""

import re

from strangler_proxy.handover.databases.numbering import Generator
from strangler_proxy.handover.databases.port import Cell, Session, Side
from strangler_proxy.handover.databases.sqlite.dialect import SqliteDialect

_SQL = SqliteDialect()
_LARGEST = 2**63 - 2
# Names, texts and comments, which may hold the word, and then the word itself.
_WORD = re.compile(
    r"""'[^']*'|"[^"]*"|`[^`]*`|\[[^\]]*\]|--[^\n]*|/\*.*?\*/|\b(AUTOINCREMENT)\b""",
    re.IGNORECASE | re.DOTALL,
)


class SqliteNumbering:
    """See numbering.NumberingSql."""

    def generator(self, session: Session, side: Side, cell: Cell) -> Generator | None:
        """What sqlite_sequence says, or the largest rowid."""
        if not cell.column or not cell.column.identity:
            return None
        ((name, sql),) = session.rows(
            "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name = ? COLLATE NOCASE",
            (side.table.name.name,),
        )
        last = session.scalar(f"SELECT max(rowid) FROM {_SQL.quote(name)}") or 0  # noqa: S608
        if not any(found[1] for found in _WORD.finditer(sql)):
            return Generator(name, last, _LARGEST, kept=False)
        kept = session.scalar("SELECT seq FROM sqlite_sequence WHERE name = ?", (name,)) or 0
        return Generator(name, max(last, kept), _LARGEST)

    def advance(self, session: Session, side: Side, generator: Generator, last: int) -> None:
        """The table has a row in sqlite_sequence once it has had one of its own."""
        with session.transaction():
            updated = session.execute(
                "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?",
                (last, generator.name),
            )
            if not updated:
                session.execute("INSERT INTO sqlite_sequence VALUES (?, ?)", (generator.name, last))
