"""Lines into a database, by the fastest means that stores what they say. Runs in transactions.

`load` is for rows that are not there; `merge` overwrites those of the same key. Both fail as a
whole, never in part and never silently: whoever calls rolls the transaction back.
"""

import tempfile
from collections.abc import Sequence
from typing import Protocol

from strangler_proxy.handover.databases.conversion import writing
from strangler_proxy.handover.databases.port import Cell, Kind, Session, Side
from strangler_proxy.handover.loading import lines as text
from strangler_proxy.handover.loading.reach import asking
from strangler_proxy.handover.loading.refusal import RowsRefused

_CLIENT_LOCAL_FILES = 128  # MySQL's capability flag


class Target(Protocol):
    """Where lines of one table go."""

    def load(self, lines: Sequence[bytes]) -> None:
        """Insert rows that are not there."""

    def merge(self, lines: Sequence[bytes]) -> None:
        """Insert rows, or overwrite those with the same key."""


def choose_target(session: Session, side: Side) -> Target:
    """The fastest way into this table that stores exactly what the lines say."""
    kind = session.dialect.kind
    if kind == "postgresql" and all(map(_copied, side.cells)):
        return CopyTarget(session, side)
    if kind == "mysql" and all(map(_loaded, side.cells)) and _takes_files(session):
        return InfileTarget(session, side)
    return StatementTarget(session, side)


class StatementTarget:
    """Prepared statements over parsed rows: every database has them, and SQLite nothing faster."""

    def __init__(self, session: Session, side: Side) -> None:
        self._session = session
        self._side = side
        self._kinds = [cell.kind for cell in side.cells]
        self._write = writing(session.dialect, side.cells)

    def load(self, lines: Sequence[bytes]) -> None:
        """INSERT."""
        self._run(self._session.dialect.insert(self._side), lines)

    def merge(self, lines: Sequence[bytes]) -> None:
        """INSERT that overwrites."""
        self._run(self._session.dialect.upsert(self._side), lines)

    def _run(self, sql: str, lines: Sequence[bytes]) -> None:
        self._session.execute_many(sql, self._write(text.parse(self._kinds, lines)))


class CopyTarget(StatementTarget):
    """PostgreSQL's COPY FROM."""

    def load(self, lines: Sequence[bytes]) -> None:
        """COPY."""
        dialect = self._session.dialect
        columns = ", ".join(dialect.quote(cell.name) for cell in self._side.cells)
        sql = f"COPY {dialect.table(self._side.table.name)} ({columns}) FROM STDIN"
        with (
            asking(self._session),
            self._session.raw.cursor() as cursor,
            cursor.copy(sql, ()) as copy,
        ):
            copy.write(b"".join(lines))


class InfileTarget(StatementTarget):
    """MySQL's LOAD DATA LOCAL, where the server and the session allow it.

    It skips rows that it cannot store and alters values that do not fit, with a warning at most
    (MySQL manual, LOAD DATA, "IGNORE"): any warning and any missing row is a refusal here.
    """

    def load(self, lines: Sequence[bytes]) -> None:
        """LOAD DATA, from a file without a name."""
        with tempfile.TemporaryFile() as file:
            file.write(text.as_mysql_reads(b"".join(lines)))
            file.flush()
            file.seek(0)
            loaded = self._session.execute(self._sql(f"/dev/fd/{file.fileno()}"))
        warnings = self._session.rows("SHOW WARNINGS LIMIT 1")
        if warnings:
            raise RowsRefused(str(warnings[0][-1]))
        if loaded != len(lines):
            raise RowsRefused(f"{len(lines) - loaded} of {len(lines)} rows were not loaded")

    def _sql(self, path: str) -> str:
        dialect = self._session.dialect
        columns, settings = [], []
        for place, cell in enumerate(self._side.cells):
            name = dialect.quote(cell.name)
            expression = _EXPRESSIONS.get(cell.kind)
            columns.append(f"@strangler_{place}" if expression else name)
            if expression:
                settings.append(f"{name} = {expression.format(value=f'@strangler_{place}')}")
        assignments = f" SET {', '.join(settings)}" if settings else ""
        # X'5C' is a backslash whatever the session takes backslashes for.
        return (
            f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE {dialect.table(self._side.table.name)} "
            "CHARACTER SET utf8mb4 FIELDS TERMINATED BY X'09' ESCAPED BY X'5C' "
            f"LINES TERMINATED BY X'0A' ({', '.join(columns)}){assignments}"
        )


# Where the text is not what the column takes. What is no boolean must not become a number.
_EXPRESSIONS = {
    Kind.BINARY: "UNHEX(SUBSTRING({value}, 3))",
    Kind.BOOLEAN: (
        "CASE {value} WHEN 't' THEN 1 WHEN '1' THEN 1 WHEN 'f' THEN 0 WHEN '0' THEN 0 "
        "ELSE CONCAT('not ', {value}) END"
    ),
}


def _copied(cell: Cell) -> bool:
    """Whether COPY stores this kind's text as the port would have stored its value."""
    declared = cell.column.declared if cell.column else ""
    match cell.kind:
        case Kind.BINARY:
            return declared == "bytea"
        case Kind.BOOLEAN:
            return declared == "boolean"
        case Kind.UUID:
            text = declared.startswith(("text", "character")) and "(32)" not in declared
            return declared == "uuid" or text
    return True


def _loaded(cell: Cell) -> bool:
    """The same of LOAD DATA."""
    declared = cell.column.declared if cell.column else ""
    if cell.kind == Kind.UUID:
        return declared == "uuid" or ("char" in declared and "32" not in declared)
    return True


def _takes_files(session: Session) -> bool:
    if not session.raw.client_flag & _CLIENT_LOCAL_FILES:
        return False
    return bool(session.scalar("SELECT @@GLOBAL.local_infile"))
