r"""Rows as lines of PostgreSQL's COPY text format: the form that rows travel in. Pure.

Fields end with a tab, lines with a newline; NULL is `\N`; a backslash, tab, newline or carriage
return within a field is escaped with a backslash. Values are what every database reads: booleans t
or f (or 1 or 0), bytes `\x` and hexadecimal digits (that backslash is escaped too), moments as
`YYYY-MM-DD HH:MM:SS[.ffffff]` in UTC. Source: the PostgreSQL manual, COPY, "Text Format".
"""

import re
import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from strangler_proxy.handover.databases.port import Kind, Row

NULL = "\\N"

_ESCAPED = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_SPECIAL = re.compile(r"[\\\t\n\r]")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPE_BYTES = re.compile(rb"\\.", re.DOTALL)
_BARE = {b"\\f": b"\f", b"\\v": b"\v"}
_MEANT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


_WRITE: dict[Kind, Callable[[Any], str]] = {
    Kind.BOOLEAN: lambda value: "t" if value else "f",
    Kind.BINARY: lambda value: "\\\\x" + bytes(value).hex(),
    Kind.FLOAT: repr,
}
_READ: dict[Kind, Callable[[str], Any]] = {
    Kind.INTEGER: int,
    Kind.DECIMAL: Decimal,
    Kind.FLOAT: float,
    Kind.BOOLEAN: lambda text: {"t": True, "1": True, "f": False, "0": False}[text],
    Kind.BINARY: lambda text: bytes.fromhex(text.removeprefix("\\x")),
    Kind.TIMESTAMP: datetime.fromisoformat,
    Kind.DATE: date.fromisoformat,
    Kind.TIME: time.fromisoformat,
    Kind.UUID: uuid.UUID,
}
_ESCAPING = frozenset((Kind.TEXT, Kind.JSON))


def encode(kinds: Sequence[Kind], rows: Iterable[Row]) -> list[bytes]:
    """Lines of rows of neutral values."""
    writers = [_escaped if kind in _ESCAPING else _WRITE.get(kind, str) for kind in kinds]
    return [
        (
            "\t".join(
                NULL if value is None else write(value)
                for write, value in zip(writers, row, strict=True)
            )
            + "\n"
        ).encode()
        for row in rows
    ]


def parse(kinds: Sequence[Kind], lines: Iterable[bytes]) -> list[Row]:
    """Rows of neutral values out of lines; ValueError for what is none of its kind."""
    return [values(kinds, fields(line)) for line in lines]


def values(kinds: Sequence[Kind], texts: Sequence[str | None]) -> Row:
    """Neutral values of fields' texts; ValueError for what is none of its kind."""
    return tuple(
        text if text is None or kind not in _READ else _read(_READ[kind], text)
        for kind, text in zip(kinds, texts, strict=True)
    )


def fields(line: bytes) -> list[str | None]:
    """The texts of a line's fields."""
    text = bytes(line).decode().removesuffix("\n")
    if "\\" not in text:
        return list(text.split("\t"))
    return [None if part == NULL else _unescaped(part) for part in text.split("\t")]


def as_mysql_reads(lines: bytes) -> bytes:
    """Lines with a form feed or vertical tab as it is: LOAD DATA does not know their escapes."""
    if b"\\f" not in lines and b"\\v" not in lines:
        return lines
    return _ESCAPE_BYTES.sub(lambda found: _BARE.get(found[0], found[0]), lines)


def _read(read: Callable[[str], Any], text: str) -> Any:
    try:
        return read(text)
    except (ValueError, KeyError, ArithmeticError):
        raise ValueError(f"'{text}' cannot be read") from None


def _escaped(text: str) -> str:
    return _SPECIAL.sub(lambda found: _ESCAPED[found[0]], text) if _SPECIAL.search(text) else text


def _unescaped(field: str) -> str:
    if "\\" not in field:
        return field
    return _ESCAPE.sub(lambda found: _MEANT.get(found[1], found[1]), field)
