"""Lines composed by MySQL and MariaDB. Pure.

Only for columns whose reading needs no second look in Python; what CONCAT makes of a value is then
the text that the driver would have given. A backslash is written as CHAR(92): the server may take
it for itself or not (NO_BACKSLASH_ESCAPES).
"""

from collections.abc import Callable

from strangler_proxy.handover.databases.port import Cell, Dialect, Kind, Pair
from strangler_proxy.handover.loading.fit import fits

_BACKSLASH = "CHAR(92 USING utf8mb4)"


def line(pair: Pair, dialect: Dialect) -> str | None:
    """SQL of a row's line as bytes; None where a kind has no exact text, or might be rounded."""
    if not fits(pair):
        return None
    parts = []
    for cell in pair.source.cells:
        compose = _FIELDS.get(cell.kind)
        if compose is None or not _plainly(cell):
            return None
        text = compose(f"({dialect.read(cell).sql})")
        parts.append(f"IFNULL({text}, CONCAT({_BACKSLASH}, 'N'))")
    return f"CAST(CONCAT(CONCAT_WS(CHAR(9), {', '.join(parts)}), CHAR(10)) AS BINARY)"


def _plain(value: str) -> str:
    return f"CONVERT({value} USING utf8mb4)"


def _number(value: str) -> str:
    return f"CAST({value} AS CHAR CHARACTER SET utf8mb4)"


def _boolean(value: str) -> str:
    # Anything but 0 and 1 stays what it is, and no database takes it for a truth.
    return _number(value)


def _text(value: str) -> str:
    escaped = _plain(value)
    escaped = f"REPLACE({escaped}, {_BACKSLASH}, CONCAT({_BACKSLASH}, {_BACKSLASH}))"
    for character, letter in ((9, "t"), (10, "n"), (13, "r")):
        code = f"CHAR({character} USING utf8mb4)"
        escaped = f"REPLACE({escaped}, {code}, CONCAT({_BACKSLASH}, '{letter}'))"
    return escaped


def _binary(value: str) -> str:
    return f"CONCAT({_BACKSLASH}, {_BACKSLASH}, 'x', HEX({value}))"


def _uuid(value: str) -> str:
    return f"LOWER({_number(value)})"


def _plainly(cell: Cell) -> bool:
    """Whether the column keeps values of this kind as they are spelled elsewhere."""
    declared = cell.column.declared if cell.column else ""
    if cell.kind == Kind.UUID:
        return declared.startswith("uuid") or "36" in declared
    return cell.kind != Kind.INTEGER or not declared.startswith("decimal")


_FIELDS: dict[Kind, Callable[[str], str]] = {
    Kind.INTEGER: _number,
    Kind.BOOLEAN: _boolean,
    Kind.TEXT: _text,
    Kind.JSON: _text,
    Kind.BINARY: _binary,
    Kind.DECIMAL: _number,
    Kind.TIMESTAMP: _number,
    Kind.TIME: _number,
    Kind.DATE: _number,
    Kind.UUID: _uuid,
    # FLOAT: MySQL writes six digits of a four-byte number.
}
