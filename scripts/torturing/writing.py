"""Carry out one operation at a database, in one transaction, and know how it ended."""

from contextlib import suppress
from typing import Any

from scripts.torturing.history import Kind, Outcome
from scripts.torturing.tables import connect, kind_of


class Writer:
    """One connection, opened anew when it breaks. Belongs to one thread."""

    def __init__(self, url: str, timeout_s: float = 10.0) -> None:
        self._url, self._timeout_s = url, timeout_s
        self._mark = "?" if kind_of(url) == "sqlite" else "%s"
        self._begin = "BEGIN IMMEDIATE" if kind_of(url) == "sqlite" else "BEGIN"
        self._connection: Any = None

    def carry_out(
        self, kind: Kind, word: str, mark: str, value: int | None
    ) -> tuple[Outcome, int | None, str]:
        """How it ended, what was read, and how the database spoke of it.

        Whatever fails before the commit has changed nothing; a commit without an answer may have.
        """
        committing = False
        try:
            if self._connection is None:
                self._connection = connect(self._url, self._timeout_s)
            cursor = self._connection.cursor()
            if kind == Kind.READ:
                self._run(cursor, "SELECT value FROM items WHERE word = {}", word)
                row = cursor.fetchone()
                return Outcome.OK, row[0] if row else None, ""
            cursor.execute(self._begin)
            self._write(cursor, kind, word, value)
            self._run(cursor, "INSERT INTO log (mark) VALUES ({})", mark)
            committing = True
            cursor.execute("COMMIT")
        except Exception as fault:  # noqa: BLE001 - three drivers, and each has its own errors
            self.close()
            told = f"{type(fault).__name__}: {fault}".strip()
            return Outcome.UNKNOWN if committing else Outcome.REFUSED, None, told
        return Outcome.OK, value, ""

    def close(self) -> None:
        """Break off whatever is under way."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):  # it may be dead already, which is as good
                connection.close()

    def _write(self, cursor: Any, kind: Kind, word: str, value: int | None) -> None:
        match kind:
            case Kind.INSERT:
                self._run(cursor, "INSERT INTO items (word, value) VALUES ({}, {})", word, value)
            case Kind.UPDATE:
                self._run(cursor, "UPDATE items SET value = {} WHERE word = {}", value, word)
            case Kind.DELETE:
                self._run(cursor, "DELETE FROM items WHERE word = {}", word)
        if cursor.rowcount != 1:
            raise LookupError(f"{kind} {word}: {cursor.rowcount} rows")

    def _run(self, cursor: Any, sql: str, *values: object) -> None:
        cursor.execute(sql.replace("{}", self._mark), values)
