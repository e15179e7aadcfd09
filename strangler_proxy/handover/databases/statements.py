"""Statements that SQL databases write alike, put together from what a dialect spells. Pure."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from strangler_proxy.handover.databases.port import (
    Cell,
    DatabaseKind,
    Reading,
    Side,
    TableName,
    Writing,
)


class Statements:
    """The shared part of the dialects; see port.Dialect for what each method promises."""

    kind: DatabaseKind
    placeholder = "%s"
    most_parameters = 65_535

    @abstractmethod
    def quote(self, identifier: str) -> str:
        """Any legal identifier, quoted and escaped."""

    @abstractmethod
    def read(self, cell: Cell) -> Reading:
        """How this value is read."""

    @abstractmethod
    def write(self, cell: Cell) -> Writing:
        """How this value is written."""

    def escaped(self, sql: str) -> str:
        """SQL from elsewhere as a session takes it: drivers with %s want percent signs doubled."""
        return sql.replace("%", "%%")

    def table(self, name: TableName) -> str:
        """A table's name, quoted and escaped, with its schema where it is given."""
        quoted = self.quote(name.name)
        return f"{self.quote(name.schema)}.{quoted}" if name.schema else quoted

    def literal(self, text: str) -> str:
        """Text as a string in SQL, escaped."""
        return self.escaped("'" + text.replace("'", "''") + "'")

    def insert(self, side: Side, rows: int = 1) -> str:
        """INSERT of whole rows."""
        columns = ", ".join(self.quote(cell.name) for cell in side.cells)
        row = ", ".join(self.write(cell).sql for cell in side.cells)
        values = ", ".join([f"({row})"] * rows)
        return f"INSERT INTO {self.table(side.table.name)} ({columns}) VALUES {values}"  # noqa: S608

    def upsert(self, side: Side, rows: int = 1) -> str:
        """INSERT that overwrites the row of the same key (PostgreSQL's and SQLite's clause)."""
        key = ", ".join(self.quote(cell.name) for cell in side.key_cells)
        rest = [
            f"{self.quote(cell.name)} = excluded.{self.quote(cell.name)}"
            for place, cell in enumerate(side.cells)
            if place not in side.key
        ]
        action = f"UPDATE SET {', '.join(rest)}" if rest else "NOTHING"
        return f"{self.insert(side, rows)} ON CONFLICT ({key}) DO {action}"

    def delete(self, side: Side, keys: int = 1) -> str:
        """DELETE of rows by key."""
        values = [self.write(cell).sql for cell in side.key_cells]
        found = self._among([self.quote(cell.name) for cell in side.key_cells], values, keys)
        return f"DELETE FROM {self.table(side.table.name)} WHERE {found}"  # noqa: S608

    def by_keys(self, side: Side, keys: int) -> str:
        """SELECT of the rows with these raw keys."""
        found = self._among(
            [self._raw(cell) for cell in side.key_cells], [self.placeholder] * len(side.key), keys
        )
        return f"{self._select(side)} WHERE {found}"

    def page(self, side: Side, after: bool, rows: int) -> str:
        """SELECT of the next rows in the key's order."""
        key = [self._raw(cell) for cell in side.key_cells]
        behind = f" WHERE {self._behind(key)}" if after else ""
        return f"{self._select(side)}{behind} ORDER BY {', '.join(key)} LIMIT {rows:d}"

    def page_parameters(self, raw_key: Sequence[Any]) -> Sequence[Any]:
        """Parameters of a page behind this raw key."""
        return tuple(raw_key)

    def _behind(self, key: Sequence[str]) -> str:
        marks = ", ".join([self.placeholder] * len(key))
        return f"({', '.join(key)}) > ({marks})"

    def _raw(self, cell: Cell) -> str:
        """A key's column, as it is compared with raw values; its index must still serve."""
        return cell.sql

    def _select(self, side: Side) -> str:
        values = ", ".join(self.read(cell).sql for cell in side.cells)
        return f"SELECT {values} FROM {self.table(side.table.name)}"  # noqa: S608

    @staticmethod
    def _among(columns: Sequence[str], values: Sequence[str], keys: int) -> str:
        if len(columns) == 1:
            return f"{columns[0]} IN ({', '.join([values[0]] * keys)})"
        row = f"({', '.join(values)})"
        return f"({', '.join(columns)}) IN ({', '.join([row] * keys)})"
