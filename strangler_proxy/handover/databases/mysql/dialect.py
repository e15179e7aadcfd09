"""SQL of MySQL and MariaDB. Pure.

Whether two texts are one key is the collation's affair here: where 'a' and 'A' are one, a row that
is asked for by one may be given spelled as the other.
"""

from collections.abc import Sequence

from strangler_proxy.handover.databases import values
from strangler_proxy.handover.databases.port import (
    Cell,
    Column,
    Convert,
    DatabaseKind,
    Kind,
    Reading,
    Side,
    Writing,
)
from strangler_proxy.handover.databases.statements import Statements

_CAST = {
    Kind.FLOAT: "({}) + 0e0",
    Kind.DECIMAL: "CAST({} AS DECIMAL(65, 30))",
    Kind.TEXT: "CONVERT({} USING utf8mb4)",
    Kind.BINARY: "CAST({} AS BINARY)",
    Kind.TIMESTAMP: "CAST({} AS DATETIME(6))",
    Kind.DATE: "CAST({} AS DATE)",
    Kind.TIME: "CAST({} AS TIME(6))",
    Kind.JSON: "CONVERT({} USING utf8mb4)",
}


class MysqlDialect(Statements):
    """See port.Dialect."""

    kind: DatabaseKind = "mysql"

    def quote(self, identifier: str) -> str:
        """In backticks."""
        return "`" + identifier.replace("`", "``").replace("%", "%%") + "`"

    def literal(self, text: str) -> str:
        """Backslashes mean something here."""
        return super().literal(text.replace("\\", "\\\\"))

    def read(self, cell: Cell) -> Reading:
        """As the driver gives it; what it leaves as text or as a span of time is made neutral."""
        if cell.column is None:
            return Reading(_CAST.get(cell.kind, "{}").format(cell.sql), _READ.get(cell.kind))
        declared = cell.column.declared
        if declared.startswith("float"):
            return Reading(f"{cell.sql} + 0e0")  # a float itself is shown with six digits
        if declared.startswith("bit"):
            return Reading(f"{cell.sql} + 0", values.boolean)
        if cell.kind == Kind.INTEGER and not declared.startswith("decimal"):
            return Reading(cell.sql)
        return Reading(cell.sql, _READ.get(cell.kind))

    def write(self, cell: Cell) -> Writing:
        """Values that the column would round are refused."""
        return Writing("%s", _writing(cell.kind, cell.column) if cell.column else None)

    def upsert(self, side: Side, rows: int = 1) -> str:
        """INSERT that overwrites the row of the same key, and fails at any other clash."""
        # Every unique key of the table leads here; NULL is refused by the key's columns.
        key = [self.quote(cell.name) for cell in side.key_cells]
        same = " AND ".join(f"{column} <=> VALUES({column})" for column in key)
        first = f"{key[0]} = IF({same}, VALUES({key[0]}), NULL)"
        rest = [
            f"{self.quote(cell.name)} = VALUES({self.quote(cell.name)})"
            for place, cell in enumerate(side.cells)
            if place != side.key[0]
        ]
        return f"{self.insert(side, rows)} ON DUPLICATE KEY UPDATE {', '.join([first, *rest])}"

    def page_parameters(self, raw_key: Sequence[object]) -> Sequence[object]:
        """Each level of the comparison asks again for the values before it."""
        return tuple(value for depth in range(len(raw_key)) for value in raw_key[: depth + 1])

    def captured_key(self, side: Side, row: str) -> str:
        """A JSON array; types that JSON does not have are named."""
        parts = [_captured(cell, f"{row}.{self.quote(cell.name)}") for cell in side.key_cells]
        return f"JSON_ARRAY({', '.join(parts)})"

    def _behind(self, key: Sequence[str]) -> str:
        # Comparing rows, (a, b) > (x, y), would not use the index here.
        levels = []
        for depth, column in enumerate(key):
            equal = "".join(f"{before} = %s AND " for before in key[:depth])
            levels.append(f"({equal}{column} > %s)")
        return " OR ".join(levels)


def _writing(kind: Kind, column: Column) -> Convert | None:
    declared = column.declared
    match kind:
        case Kind.UUID:
            return values.uuid_writing(declared)
        case Kind.DECIMAL if column.scale is not None:
            return values.fitting(column.scale)
        case Kind.TIMESTAMP | Kind.TIME:
            return values.fraction(column.scale or 0)
        case Kind.FLOAT if declared.startswith("float"):
            return values.single
        case Kind.BOOLEAN:
            return int
    return None


def _captured(cell: Cell, value: str) -> str:
    declared = cell.column.declared if cell.column else ""
    if declared.startswith("bit"):
        return f"{value} + 0"
    if "binary" in declared or "blob" in declared:
        return f"JSON_OBJECT('hex', HEX({value}))"
    if declared.startswith("decimal"):
        return f"JSON_OBJECT('decimal', CAST({value} AS CHAR))"
    if declared == "date":
        return f"JSON_OBJECT('date', DATE_FORMAT({value}, '%%Y-%%m-%%d'))"
    if declared.startswith("datetime"):
        return f"JSON_OBJECT('timestamp', DATE_FORMAT({value}, '%%Y-%%m-%%d %%H:%%i:%%s.%%f'))"
    if cell.column and Kind.INTEGER in cell.column.kinds:
        return f"CAST({value} AS {'UNSIGNED' if 'unsigned' in declared else 'SIGNED'})"
    return f"CONVERT({value} USING utf8mb4)"


_READ: dict[Kind, Convert] = {
    Kind.INTEGER: values.integer,
    Kind.BOOLEAN: values.boolean,
    Kind.TIMESTAMP: values.timestamp,  # the driver gives '0000-00-00' as text
    Kind.DATE: values.day,
    Kind.TIME: values.time_of_day,
    Kind.UUID: values.as_uuid,
}
