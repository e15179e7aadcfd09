"""Lines composed by SQLite. Pure.

A column of SQLite may hold any type of value. Each field is NULL, and with it the whole line, for a
value that is not plainly what it should be; such a page is read through the port's conversions,
which accept or refuse it.
"""

from collections.abc import Callable

from strangler_proxy.handover.databases.port import Cell, Kind, Pair
from strangler_proxy.handover.loading.fit import takes_fraction

_DIGITS = 15
_DIGIT = "[0-9]"
# Digits are looked for only where a zone could hide, which databases drop without a word; a letter
# anywhere else is refused by the target aloud.
_DAY = "????-??-??"
_TIME = "??:??:??"
_FRACTION = "." + _DIGIT * 6


def line(pair: Pair) -> str | None:
    """SQL of a row's line as bytes; None where a column's kind has no exact text in SQLite."""
    parts = []
    for source, target in zip(pair.source.cells, pair.target.cells, strict=True):
        compose = _FIELDS.get(source.kind)
        if compose is None:
            return None
        parts.append(compose(f"({source.sql})", target))
    return f"CAST({' || char(9) || '.join(parts)} || char(10) AS BLOB)"


def _case(value: str, stored: str, text: str) -> str:
    return f"CASE typeof({value}) WHEN '{stored}' THEN {text} WHEN 'null' THEN '\\N' END"


def _integer(value: str, _target: Cell) -> str:
    return _case(value, "integer", value)


def _boolean(value: str, _target: Cell) -> str:
    return _case(value, "integer", f"CASE WHEN {value} IN (0, 1) THEN {value} END")


def _text(value: str, _target: Cell) -> str:
    escaped = value
    for character, letter in ((92, "\\"), (9, "t"), (10, "n"), (13, "r")):
        escaped = f"replace({escaped}, char({character}), '\\{letter}')"
    return _case(value, "text", escaped)


def _binary(value: str, _target: Cell) -> str:
    return _case(value, "blob", f"'\\\\x' || hex({value})")


def _decimal(value: str, target: Cell) -> str:
    scale = target.column.scale if target.column else None
    # SQLite writes 15 digits of a binary fraction, so there must be no more that matter.
    if scale is None:
        exact = f"CAST({value} || '' AS REAL) = {value}"
    else:
        exact = f"abs({value}) < 1e{_DIGITS - scale:d} AND round({value}, {scale:d}) = {value}"
    return (
        f"CASE typeof({value}) WHEN 'integer' THEN {value} WHEN 'null' THEN '\\N' "
        f"WHEN 'real' THEN CASE WHEN {exact} THEN {value} || '' END END"
    )


def _shaped(value: str, *shapes: str) -> str:
    found = " OR ".join(f"{value} GLOB '{shape}'" for shape in shapes)
    return _case(value, "text", f"CASE WHEN {found} THEN {value} END")


def _fractions(target: Cell, shape: str) -> tuple[str, ...]:
    # SQLAlchemy writes a fraction to whole seconds too.
    return shape, shape + (_FRACTION if takes_fraction(target, None) else ".000000")


def _timestamp(value: str, target: Cell) -> str:
    return _shaped(value, *_fractions(target, f"{_DAY} {_TIME}"))


def _time(value: str, target: Cell) -> str:
    return _shaped(value, *_fractions(target, _TIME))


def _date(value: str, _target: Cell) -> str:
    return _shaped(value, _DAY)


def _uuid(value: str, _target: Cell) -> str:
    text = f"CASE WHEN length({value}) = 36 THEN lower({value}) END"
    return _case(value, "text", text)


_FIELDS: dict[Kind, Callable[[str, Cell], str]] = {
    Kind.INTEGER: _integer,
    Kind.BOOLEAN: _boolean,
    Kind.TEXT: _text,
    Kind.JSON: _text,
    Kind.BINARY: _binary,
    Kind.DECIMAL: _decimal,
    Kind.TIMESTAMP: _timestamp,
    Kind.TIME: _time,
    Kind.DATE: _date,
    Kind.UUID: _uuid,
    # FLOAT: SQLite writes 15 digits of up to 17.
}
