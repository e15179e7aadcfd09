"""The text of a value as SQLite's SQL, and the functions that it calls. Pure."""

from collections.abc import Callable
from typing import Any

from strangler_proxy.handover.databases.canonical.cells import hyphened
from strangler_proxy.handover.databases.canonical.spelling import Spelling
from strangler_proxy.handover.databases.canonical.texts import text_of
from strangler_proxy.handover.databases.port import Cell, Column, Dialect, Kind
from strangler_proxy.handover.databases.sqlite.dialect import SqliteDialect


def sqlite_text(dialect: Dialect, cell: Cell, spelling: Spelling) -> str:
    """SQL of the text of this cell; NULL for NULL."""
    value = cell.sql
    match cell.kind:
        case Kind.INTEGER | Kind.BOOLEAN:
            return _case(value, "integer", f"CAST({value} AS TEXT)", _strange_sql(value))
        case Kind.DECIMAL:
            text = f"CAST({value} AS TEXT)"
            return _case(value, "integer", text, f"strangler_decimal({value})")
        case Kind.TEXT:
            text = f"CAST({value} AS TEXT)"
            return f"rtrim({text}, ' ')" if spelling.padded else text
        case Kind.BINARY:
            return f"CASE WHEN {value} IS NOT NULL THEN lower(hex({value})) END"
        case Kind.UUID:
            return _uuid(value)
        case Kind.JSON if not spelling.jsonb:
            return f"CAST({value} AS TEXT)"
        case Kind.TIMESTAMP:
            julian = dialect.read(cell).convert is not dialect.read(_bare(Kind.TIMESTAMP)).convert
            function = "strangler_julian" if julian else "strangler_timestamp"
            return (
                f"CASE WHEN {value} GLOB '{_MICROSECONDS}' THEN rtrim(rtrim({value}, '0'), '.') "
                f"ELSE {function}({value}) END"
            )
    return f"strangler_{cell.kind}({value})"


_DAY = "-".join(["[0-9]" * 4, "[0-9]" * 2, "[0-9]" * 2])
_MICROSECONDS = f"{_DAY} {':'.join(['[0-9]' * 2] * 3)}.{'[0-9]' * 6}"


def _case(value: str, stored: str, text: str, otherwise: str) -> str:
    kept = f"WHEN '{stored}' THEN {text} WHEN 'null' THEN NULL"
    return f"CASE typeof({value}) {kept} ELSE {otherwise} END"


def _strange_sql(value: str) -> str:
    return f"'?' || hex({value})"


def _uuid(value: str) -> str:
    of_bytes = " || ".join(hyphened(f"lower(hex({value}))"))
    of_digits = " || ".join(hyphened(f"lower({value})"))
    return (
        f"CASE WHEN {value} IS NULL THEN NULL "
        f"WHEN typeof({value}) = 'blob' AND length({value}) = 16 THEN {of_bytes} "
        f"WHEN length({value}) = 36 THEN lower({value}) "
        f"WHEN length({value}) = 32 THEN {of_digits} ELSE {_strange_sql(value)} END"
    )


def _bare(kind: Kind, declared: str = "") -> Cell:
    return Cell(kind, "", Column("", declared, (kind,), nullable=True))


def _stored_decimal(value: Any) -> str | None:
    # Nearly all are doubles whose shortest text is as it should be.
    if type(value) is float and value:
        text = repr(value)
        if text[-1].isdigit() and "e" not in text:
            return text.removesuffix(".0")
    return _any_decimal(value)


def _stored(kind: Kind, declared: str = "") -> Callable[[Any], str | None]:
    """The text of a value as SQLite has stored it."""
    read = SqliteDialect().read(_bare(kind, declared)).convert
    spelling = Spelling(jsonb=True)

    def text(value: Any) -> str | None:
        if value is None:
            return None
        try:
            return text_of(kind, read(value) if read else value, spelling)
        except (ValueError, TypeError, ArithmeticError, RecursionError):
            kept = value if isinstance(value, bytes) else str(value).encode()
            return f"?{kept.hex().upper()}"

    return text


_any_decimal = _stored(Kind.DECIMAL)
SQLITE_FUNCTIONS: dict[str, Callable[[Any], str | None]] = {
    "strangler_decimal": _stored_decimal,
    "strangler_float": _stored(Kind.FLOAT),
    "strangler_timestamp": _stored(Kind.TIMESTAMP),
    "strangler_julian": _stored(Kind.TIMESTAMP, "real"),
    "strangler_date": _stored(Kind.DATE),
    "strangler_time": _stored(Kind.TIME),
    "strangler_json": _stored(Kind.JSON),
}
"""Functions of one argument, deterministic, that SQLite's SQL calls."""
