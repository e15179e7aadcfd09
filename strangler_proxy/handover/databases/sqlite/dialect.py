"""SQLite's SQL. Pure.

A column of SQLite holds values of any type, so every value is checked when it is read. Times are
text as SQLAlchemy and most applications write it, `YYYY-MM-DD HH:MM:SS.ffffff`, or days of the
Julian calendar (to the millisecond) in a column declared as REAL.
"""

import math
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from strangler_proxy.handover.databases import values
from strangler_proxy.handover.databases.port import (
    Cell,
    Convert,
    DatabaseKind,
    Kind,
    Reading,
    Side,
    Writing,
)
from strangler_proxy.handover.databases.statements import Statements

_UNIX_EPOCH = datetime(1970, 1, 1)
_JULIAN_OF_UNIX_EPOCH = 2_440_587.5
_DOUBLE_DIGITS = 15


class SqliteDialect(Statements):
    """See port.Dialect."""

    kind: DatabaseKind = "sqlite"
    placeholder = "?"
    most_parameters = 32_766  # SQLITE_MAX_VARIABLE_NUMBER since 3.32

    def quote(self, identifier: str) -> str:
        """In double quotes."""
        return '"' + identifier.replace('"', '""') + '"'

    def escaped(self, sql: str) -> str:
        """As it is: SQLite has no operator with a question mark."""
        return sql

    def read(self, cell: Cell) -> Reading:
        """The stored value, checked to be of its kind."""
        if cell.kind == Kind.TIMESTAMP and _declared(cell, "REAL", "DOUB", "FLOA"):
            return Reading(cell.sql, _from_julian)
        return Reading(cell.sql, _READ[cell.kind])

    def write(self, cell: Cell) -> Writing:
        """As SQLAlchemy stores each kind."""
        if cell.kind == Kind.TIMESTAMP and _declared(cell, "REAL", "DOUB", "FLOA"):
            return Writing("?", _to_julian)
        if cell.kind == Kind.DECIMAL:
            return Writing("?", str if _declared(cell, "CHAR", "TEXT", "CLOB") else _numeric)
        if cell.kind == Kind.UUID:
            declared = cell.column.declared if cell.column else ""
            return Writing("?", values.uuid_writing(declared.lower()))
        return Writing("?", _WRITE.get(cell.kind))

    def captured_key(self, side: Side, row: str) -> str:
        """A JSON array; bytes in hexadecimal."""
        parts = []
        for cell in side.key_cells:
            value = f"{row}.{self.quote(cell.name)}"
            parts.append(
                f"CASE typeof({value}) WHEN 'blob' THEN json_object('hex', hex({value})) "
                f"ELSE json_quote({value}) END"
            )
        return "'[' || " + " || ',' || ".join(parts) + " || ']'"


def _declared(cell: Cell, *words: str) -> bool:
    declared = cell.column.declared.upper() if cell.column else ""
    return any(word in declared for word in words)


def _integer(value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return values.integer(value)


def _decimal(value: Any) -> Decimal:
    if isinstance(value, int | str):
        try:
            return Decimal(value)
        except InvalidOperation:
            pass
    if isinstance(value, float) and math.isfinite(value):
        return Decimal(repr(value))
    raise ValueError(f"holds {value!r}, which is not a decimal number")


def _float(value: Any) -> float:
    if isinstance(value, int | float):
        return float(value)
    raise ValueError(f"holds {value!r}, which is not a number")


def _binary(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    raise ValueError(f"holds {value!r}, which are not bytes")


def _from_julian(value: Any) -> datetime:
    if not isinstance(value, float | int):
        return values.timestamp(value)
    milliseconds = round((value - _JULIAN_OF_UNIX_EPOCH) * 86_400_000)
    return _UNIX_EPOCH + timedelta(milliseconds=milliseconds)


def _to_julian(value: datetime) -> float:
    if value.microsecond % 1000:
        raise ValueError(f"keeps days as numbers, to the millisecond: {value} does not fit")
    return _JULIAN_OF_UNIX_EPOCH + (value - _UNIX_EPOCH) / timedelta(days=1)


def _numeric(value: Decimal | int) -> int | float | str:
    """As a column of NUMERIC affinity keeps it, where that is the same number."""
    value = Decimal(value)
    if not value.is_finite():
        raise ValueError(f"keeps numbers: {value} is none")
    if value == value.to_integral_value() and abs(value) < 2**63:
        return int(value)
    if len(value.normalize().as_tuple().digits) > _DOUBLE_DIGITS:
        raise ValueError(
            f"keeps {_DOUBLE_DIGITS} digits, being NUMERIC in SQLite: {value} does not fit; "
            "declare it as TEXT"
        )
    return float(value)


_READ: dict[Kind, Convert] = {
    Kind.INTEGER: _integer,
    Kind.DECIMAL: _decimal,
    Kind.FLOAT: _float,
    Kind.TEXT: values.text,
    Kind.BINARY: _binary,
    Kind.BOOLEAN: values.boolean,
    Kind.TIMESTAMP: values.timestamp,
    Kind.DATE: values.day,
    Kind.TIME: values.time_of_day,
    Kind.UUID: values.as_uuid,
    Kind.JSON: values.text,
}


def _timestamp_text(value: datetime) -> str:
    return value.isoformat(sep=" ", timespec="microseconds")


def _time_text(value: time) -> str:
    return value.isoformat(timespec="microseconds")


_WRITE: dict[Kind, Convert] = {
    Kind.BOOLEAN: int,
    Kind.TIMESTAMP: _timestamp_text,
    Kind.DATE: date.isoformat,
    Kind.TIME: _time_text,
}
