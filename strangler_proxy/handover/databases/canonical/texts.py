"""The text of a value and of a row in Python, and when two texts stand for one value. Pure."""

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from strangler_proxy.handover.databases.canonical.spelling import FREE_KINDS, PLAIN, Spelling
from strangler_proxy.handover.databases.port import Kind

_NUMERIC_DIGITS = 131_072  # before PostgreSQL's point


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
