"""One text for a value, the same bytes in every database: what checksums are made of. Pure.

`value_sql` is the text of one value as SQL, `text_of` the same in Python; `row_sql` and `row_text`
give the text of a row. By kind:

- integer, boolean (0, 1): digits. Decimal: without zeros at its end, so 1.50 is 1.5: numbers are
  equal when they are the same number, whatever the scale of their columns;
- float: `DeE`, the shortest digits that stand for the double, without zeros at either end, and a
  power of ten: 1234.5 is 12345e-1, minus zero is 0. Four-byte numbers count as the doubles that
  they are: 0.1 in a `real` is not 0.1 in a `double`. Beyond 2**53 PostgreSQL's digits are for some
  numbers not those of the others, so the texts differ where `same` finds one number;
- text: itself; without the spaces at its end where one side is CHAR(n) (`padded`);
- binary: hexadecimal. UUID: lower case, with hyphens;
- timestamp (UTC), date, time: ISO 8601 with a space, a fraction of a second without zeros at its
  end. PostgreSQL's infinity, BC and years over 9999 stay as it writes them: no other has them;
- JSON: where both sides can spell it as PostgreSQL spells jsonb (`jsonb`), that; else the text as
  it stands, and `same` compares what it means.

SQLite keeps any type in any column: what is not of its column's kind becomes `?` and its bytes in
hexadecimal, equal to nothing elsewhere; but bytes in a column of text count as that text.

A row's text joins its values so that no two rows share one: `length:text|` where a value may hold
anything or be empty (the length in bytes of UTF-8), `text|` otherwise; NULL is `:|` and `|`.

What must be so before: a PostgreSQL session has run SESSION and its database is UTF-8; a SQLite
session has registered SQLITE_FUNCTIONS.
"""

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from strangler_proxy.handover.databases.port import Cell, Column, DatabaseKind, Dialect, Kind
from strangler_proxy.handover.databases.sqlite.dialect import SqliteDialect

SESSION: dict[DatabaseKind, tuple[str, ...]] = {
    "postgresql": ("SET datestyle TO 'ISO'", "SET extra_float_digits TO 1"),
    "mysql": (),
    "sqlite": (),
}
"""Statements after which a session writes values as `value_sql` expects."""

FREE_KINDS = frozenset((Kind.TEXT, Kind.JSON, Kind.BINARY))
"""Kinds whose text may hold any character, or none at all."""

_MOST_ARGUMENTS = 90  # PostgreSQL's functions take up to 100
_NUMERIC_DIGITS = 131_072  # before PostgreSQL's point


@dataclass(frozen=True, slots=True)
class Spelling:
    """What both sides must know to spell a pair of cells alike."""

    padded: bool = False
    """Spaces at the end of a text mean nothing: one side is CHAR(n)."""

    jsonb: bool = False
    """JSON as PostgreSQL writes a jsonb; else as it stands."""


PLAIN = Spelling()


def value_sql(dialect: Dialect, cell: Cell, spelling: Spelling = PLAIN) -> str:
    """SQL of the text of this cell's value, NULL for NULL; escaped as the cell is."""
    match dialect.kind:
        case "postgresql":
            return _postgresql(dialect.read(cell).sql, cell, spelling)
        case "mysql":
            return _mysql(cell, spelling)
        case "sqlite":
            return _sqlite(dialect, cell, spelling)


def row_sql(dialect: Dialect, cells: Sequence[Cell], spellings: Sequence[Spelling]) -> str:
    """SQL of the text of a row of these cells, never NULL; in SQLite its bytes."""
    parts: list[str] = []
    for cell, spelling in zip(cells, spellings, strict=True):
        value = value_sql(dialect, cell, spelling)
        parts += _in_row(dialect.kind, value, free=cell.kind in FREE_KINDS)
    joined = _joined(dialect.kind, parts)
    return f"CAST({joined} AS BLOB)" if dialect.kind == "sqlite" else joined


def row_text(kinds: Sequence[Kind], values: Sequence[Any], spellings: Sequence[Spelling]) -> bytes:
    """The text of a row of neutral values, as UTF-8."""
    return b"".join(
        _field(kind, None if value is None else text_of(kind, value, spelling).encode())
        for kind, value, spelling in zip(kinds, values, spellings, strict=True)
    )


def _field(kind: Kind, text: bytes | None) -> bytes:
    if kind not in FREE_KINDS:
        return (text or b"") + b"|"
    return b":|" if text is None else b"%d:%b|" % (len(text), text)


def text_of(kind: Kind, value: Any, spelling: Spelling = PLAIN) -> str:
    """The text of one neutral value that is not None."""
    match kind:
        case Kind.INTEGER | Kind.BOOLEAN:
            return str(int(value))
        case Kind.DECIMAL:
            return _decimal(value)
        case Kind.FLOAT:
            return _float(value)
        case Kind.TEXT:
            return str(value.rstrip(" ") if spelling.padded else value)
        case Kind.BINARY:
            return str(value.hex())
        case Kind.TIMESTAMP:
            return _without_zeros(value.isoformat(sep=" "))
        case Kind.TIME:
            return _without_zeros(value.isoformat())
        case Kind.DATE:
            return str(value.isoformat())
        case Kind.UUID:
            return str(value)
        case Kind.JSON:
            return jsonb_text(value) if spelling.jsonb else str(value)


def same(kind: Kind, one: str | None, other: str | None) -> bool:
    """Whether two texts stand for one value, also where databases spell it in two ways."""
    if one is None or other is None or one == other:
        return one == other
    try:
        match kind:
            case Kind.FLOAT:
                return float(one) == float(other)
            case Kind.UUID:
                return uuid.UUID(one) == uuid.UUID(other)
            case Kind.JSON:
                return _spelled(one, _decimal) == _spelled(other, _decimal)
    except (ValueError, ArithmeticError, RecursionError):
        pass
    return False


def jsonb_text(text: str) -> str:
    """JSON as PostgreSQL writes a jsonb of it (json.c, jsonb.c); ValueError when it is none."""
    return _spelled(text, _with_scale)


def _spelled(text: str, number: Callable[[Decimal], str]) -> str:
    value = json.loads(text, parse_float=Decimal, parse_int=Decimal, parse_constant=_refused)
    return "".join(_json(value, number))


def _json(value: Any, number: Callable[[Decimal], str]) -> Iterator[str]:
    if isinstance(value, dict):
        # jsonb keeps the shorter key first, then the one whose bytes are less.
        keys = sorted(value, key=lambda key: (len(encoded := key.encode()), encoded))
        mark = "{"
        for key in keys:
            yield f"{mark}{json.dumps(key, ensure_ascii=False)}: "
            yield from _json(value[key], number)
            mark = ", "
        yield "}" if keys else "{}"
    elif isinstance(value, list):
        mark = "["
        for item in value:
            yield mark
            yield from _json(item, number)
            mark = ", "
        yield "]" if value else "[]"
    elif isinstance(value, Decimal):
        if value and abs(value.adjusted()) >= _NUMERIC_DIGITS:
            raise ValueError("a number longer than any database keeps")
        yield number(value)
    else:
        yield json.dumps(value, ensure_ascii=False)


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _with_scale(value: Decimal) -> str:
    return format(value if value else abs(value), "f")


def _decimal(value: Decimal | int) -> str:
    value = Decimal(value)
    if not value.is_finite():
        return str(value)
    return _without_zeros(format(value, "f")) if value else "0"


def _float(value: float) -> str:
    if value == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    if not isinstance(exponent, int):
        return str(Decimal(value))
    written = "".join(map(str, digits))
    kept = written.rstrip("0")
    return f"{'-' if sign else ''}{kept}e{exponent + len(written) - len(kept)}"


def _without_zeros(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _in_row(database: DatabaseKind, value: str, *, free: bool) -> list[str]:
    if database == "postgresql":  # whose concat leaves NULL out
        return [f"octet_length({value})", "':'", value, "'|'"] if free else [value, "'|'"]
    if not free:
        return [f"ifnull({value}, '')", "'|'"]
    if database == "mysql":
        return [f"ifnull(concat(length({value}), ':', {value}), ':')", "'|'"]
    return [f"ifnull(length(CAST({value} AS BLOB)) || ':' || {value}, ':')", "'|'"]


def _joined(database: DatabaseKind, parts: Sequence[str]) -> str:
    """In groups of groups: PostgreSQL bounds the arguments, SQLite the depth of an expression."""
    if len(parts) > _MOST_ARGUMENTS:
        groups = range(0, len(parts), _MOST_ARGUMENTS)
        parts = [_joined(database, parts[at : at + _MOST_ARGUMENTS]) for at in groups]
        return _joined(database, parts)
    return f"({' || '.join(parts)})" if database == "sqlite" else f"concat({', '.join(parts)})"


def _postgresql(read: str, cell: Cell, spelling: Spelling) -> str:
    declared = _declared(cell)
    match cell.kind:
        case Kind.INTEGER if not declared or declared.startswith("numeric"):
            return f"trim_scale(({read})::numeric)::text"
        case Kind.BOOLEAN:
            return f"({read})::int::text"
        case Kind.DECIMAL:
            return f"trim_scale({read})::text"
        case Kind.FLOAT:
            return _postgresql_float(read)
        case Kind.TEXT if spelling.padded:
            return f"rtrim({read})"
        case Kind.BINARY:
            return f"encode({read}, 'hex')"
        case Kind.JSON if spelling.jsonb:
            return f"({cell.sql})::jsonb::text"
        case Kind.UUID if declared not in ("", "uuid"):
            # By || and not concat: NULL stays NULL.
            return f"({' || '.join(_hyphened(_postgresql_digits(read, declared)))})"
    return f"({read})::text"


def _postgresql_digits(value: str, declared: str) -> str:
    if declared == "bytea":
        return f"encode({value}, 'hex')"
    return f"lower(replace({value}, '-', ''))"


def _postgresql_float(value: str) -> str:
    text = f"({value})::text"
    mantissa = f"split_part({text}, 'e', 1)"
    digits = f"replace(ltrim({mantissa}, '-'), '.', '')"
    power = (
        f"coalesce(nullif(split_part({text}, 'e', 2), '')::int, 0) "
        f"- length(split_part({mantissa}, '.', 2)) "
        f"+ length({digits}) - length(rtrim({digits}, '0'))"
    )
    sign = f"CASE WHEN {value} < 0 THEN '-' END"
    return (
        f"CASE WHEN {value} = 0 THEN '0' "
        f"WHEN {value} IN ('NaN', 'Infinity', '-Infinity') THEN {text} "
        f"WHEN {value} <> 0 THEN concat({sign}, trim('0' FROM {digits}), 'e', {power}) END"
    )


def _mysql(cell: Cell, spelling: Spelling) -> str:
    declared, scale = _declared(cell), cell.column.scale if cell.column else None
    text = f"CAST({cell.sql} AS CHAR)"
    match cell.kind:
        case Kind.INTEGER if not declared or declared.startswith("decimal"):
            return _mysql_number(cell.sql, scale)
        case Kind.BOOLEAN if not declared.startswith("tinyint"):  # bit(1) is bytes elsewhere
            return f"CAST({cell.sql} + 0 AS CHAR)"
        case Kind.DECIMAL:
            return _mysql_number(cell.sql, scale if declared.startswith("decimal") else None)
        case Kind.FLOAT:
            return _mysql_float(f"CAST({cell.sql} AS DOUBLE)")
        case Kind.TEXT | Kind.JSON:
            value = _mysql_text(cell)
            return f"trim(TRAILING ' ' FROM {value})" if spelling.padded else value
        case Kind.BINARY:
            # What is longer than max_allowed_packet is NULL: then a digest, rather than nothing.
            return f"ifnull(lower(hex({cell.sql})), md5({cell.sql}))"
        case Kind.TIMESTAMP | Kind.TIME if scale is None:
            whole = "DATETIME(6)" if cell.kind == Kind.TIMESTAMP else "TIME(6)"
            return _mysql_trimmed(f"CAST(CAST({cell.sql} AS {whole}) AS CHAR)")
        case Kind.TIMESTAMP | Kind.TIME if scale:
            return _mysql_trimmed(text)
        case Kind.UUID:
            return _mysql_uuid(cell, declared)
    return text


def _mysql_number(value: str, scale: int | None) -> str:
    if scale == 0:
        return f"CAST({value} AS CHAR)"
    exact = f"CAST({value} AS DECIMAL(65, 30))" if scale is None else value
    return _mysql_trimmed(f"CAST({exact} AS CHAR)")


def _mysql_trimmed(text: str) -> str:
    return f"trim(TRAILING '.' FROM trim(TRAILING '0' FROM {text}))"


def _mysql_text(cell: Cell) -> str:
    collation = (cell.column.collation if cell.column else None) or ""
    # CONVERT copies, a fifth of the time of a long text.
    return cell.sql if collation.startswith("utf8") else f"CONVERT({cell.sql} USING utf8mb4)"


def _mysql_uuid(cell: Cell, declared: str) -> str:
    if "binary" in declared:
        return _mysql_hyphens(f"lower(hex({cell.sql}))")
    if "(36)" in declared or declared == "uuid":
        return f"lower(CAST({cell.sql} AS CHAR))"
    return _mysql_hyphens(f"lower(replace(CAST({cell.sql} AS CHAR), '-', ''))")


def _mysql_hyphens(digits: str) -> str:
    return f"concat({', '.join(_hyphened(digits))})"


def _mysql_float(value: str) -> str:
    text = f"CAST({value} AS CHAR)"
    mantissa = f"substring_index({text}, 'e', 1)"
    digits = f"replace(replace({mantissa}, '-', ''), '.', '')"
    power = (
        f"if(locate('e', {text}), CAST(substring_index({text}, 'e', -1) AS SIGNED), 0) "
        f"- if(locate('.', {mantissa}), length(substring_index({mantissa}, '.', -1)), 0) "
        f"+ length({digits}) - length(trim(TRAILING '0' FROM {digits}))"
    )
    return (
        f"CASE WHEN {value} = 0 THEN '0' WHEN {value} <> 0 THEN "
        f"concat(if({value} < 0, '-', ''), trim(BOTH '0' FROM {digits}), 'e', {power}) END"
    )


def _sqlite(dialect: Dialect, cell: Cell, spelling: Spelling) -> str:
    value = cell.sql
    match cell.kind:
        case Kind.INTEGER | Kind.BOOLEAN:
            return _sqlite_case(value, "integer", f"CAST({value} AS TEXT)", _strange_sql(value))
        case Kind.DECIMAL:
            text = f"CAST({value} AS TEXT)"
            return _sqlite_case(value, "integer", text, f"strangler_decimal({value})")
        case Kind.TEXT:
            text = f"CAST({value} AS TEXT)"
            return f"rtrim({text}, ' ')" if spelling.padded else text
        case Kind.BINARY:
            return f"CASE WHEN {value} IS NOT NULL THEN lower(hex({value})) END"
        case Kind.UUID:
            return _sqlite_uuid(value)
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


def _sqlite_case(value: str, stored: str, text: str, otherwise: str) -> str:
    kept = f"WHEN '{stored}' THEN {text} WHEN 'null' THEN NULL"
    return f"CASE typeof({value}) {kept} ELSE {otherwise} END"


def _strange_sql(value: str) -> str:
    return f"'?' || hex({value})"


def _sqlite_uuid(value: str) -> str:
    of_bytes = " || ".join(_hyphened(f"lower(hex({value}))"))
    of_digits = " || ".join(_hyphened(f"lower({value})"))
    return (
        f"CASE WHEN {value} IS NULL THEN NULL "
        f"WHEN typeof({value}) = 'blob' AND length({value}) = 16 THEN {of_bytes} "
        f"WHEN length({value}) = 36 THEN lower({value}) "
        f"WHEN length({value}) = 32 THEN {of_digits} ELSE {_strange_sql(value)} END"
    )


def _hyphened(digits: str) -> list[str]:
    at = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
    groups = [f"substr({digits}, {start}, {length})" for start, length in at]
    return [part for group in groups for part in (group, "'-'")][:-1]


def _declared(cell: Cell) -> str:
    return cell.column.declared if cell.column else ""


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
