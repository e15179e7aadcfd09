"""Neutral values as BSON and back, refusing what would be changed silently. Pure.

| kind | BSON |
|---|---|
| integer | 64-bit integer |
| decimal | Decimal128: at most 34 digits |
| float, boolean, text | double, bool, string |
| binary, UUID | binary data, of subtypes 0 and 4 |
| timestamp | date: milliseconds, in UTC |
| date, time | string, as ISO 8601 writes them |
| JSON | what it means: objects, arrays, strings; a number that is no double is Decimal128 |

A cell declared as `string` is kept as text: a timestamp with its microseconds, a decimal of any
length, a UUID with hyphens, JSON as it stands.
"""

import json
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from bson import Binary, Decimal128, Int64
from bson.decimal128 import create_decimal128_context

from strangler_proxy.handover.databases import values
from strangler_proxy.handover.databases.canonical import text_of
from strangler_proxy.handover.databases.port import Cell, Convert, Kind

DECLARED: dict[Kind, str] = {
    Kind.INTEGER: "long",
    Kind.DECIMAL: "decimal",
    Kind.FLOAT: "double",
    Kind.TEXT: "string",
    Kind.BINARY: "binData",
    Kind.BOOLEAN: "bool",
    Kind.TIMESTAMP: "date",
    Kind.DATE: "string",
    Kind.TIME: "string",
    Kind.UUID: "uuid",
    Kind.JSON: "object",
}
"""How each kind is kept unless the move says `string`."""
DATE_DIGITS = 3
_MOST_DIGITS = 34  # of Decimal128
_LARGEST = 2**63


def to_bson(cell: Cell) -> Convert | None:
    """What makes the BSON of a neutral value of this cell; ValueError for what has no room."""
    if _is_text(cell):
        return None if cell.kind in (Kind.TEXT, Kind.JSON) else _TEXT[cell.kind]
    return _WRITTEN.get(cell.kind)


def from_bson(cell: Cell) -> Convert:
    """What makes the neutral value again; ValueError for what another has put there."""
    if _is_text(cell) and cell.kind != Kind.TEXT:
        return values.after(values.text, _PARSED[cell.kind]) or values.text
    return _READ[cell.kind]


def _is_text(cell: Cell) -> bool:
    return cell.column is not None and cell.column.declared == "string"


def _integer(value: int) -> Int64:
    if not -_LARGEST <= value < _LARGEST:
        raise ValueError(f"holds {value}, which 64 bits do not hold: keep it as a string")
    return Int64(value)


def _decimal(value: Decimal | int) -> Decimal128:
    value = Decimal(value)
    if value.is_finite() and len(value.as_tuple().digits) > _MOST_DIGITS:
        raise ValueError(f"holds {value}, and Decimal128 has 34 digits: keep it as a string")
    made = Decimal128(create_decimal128_context().create_decimal(value))
    if value.is_finite() and made.to_decimal() != value:
        raise ValueError(f"holds {value}, which Decimal128 has not: keep it as a string")
    return made


def _date(value: datetime) -> datetime:
    if value.microsecond % 1000:
        raise ValueError(
            f"holds {value}, and a BSON date keeps milliseconds: keep it as a string (types)"
        )
    return value


def _read_date(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    raise ValueError(f"holds {value!r}, which is no date")


def _read_decimal(value: Any) -> Decimal:
    if isinstance(value, Decimal128):
        return value.to_decimal()
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    raise ValueError(f"holds {value!r}, which is no Decimal128")


def _read_integer(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    raise ValueError(f"holds {value!r}, which is no whole number")


def _read_float(value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise ValueError(f"holds {value!r}, which is no number")


def _read_boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError(f"holds {value!r}, which is neither true nor false")


def _read_binary(value: Any) -> bytes:
    if isinstance(value, bytes):
        return bytes(value)
    raise ValueError(f"holds {value!r}, which is no binary data")


def _read_uuid(value: Any) -> uuid.UUID:
    if isinstance(value, uuid.UUID):
        return value
    if isinstance(value, Binary) and value.subtype in (3, 4):
        return uuid.UUID(bytes=bytes(value))
    raise ValueError(f"holds {value!r}, which is no UUID")


def json_to_bson(text: str) -> Any:
    """What a JSON text means; the order of an object's names is kept, that of doubles is not."""
    return json.loads(
        text,
        parse_float=_number,
        parse_int=_whole,
        parse_constant=_refused,
        object_pairs_hook=_named,
    )


def bson_to_json(value: Any) -> str:
    """A JSON text that means the same."""
    return _json(value)


def _named(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for name, _ in pairs:
        if name.startswith("$") or "\0" in name:
            raise ValueError(f"has JSON with the name {name!r}: keep it as a string (types)")
    return dict(pairs)


def _number(text: str) -> Any:
    exact = Decimal(text)
    return float(text) if Decimal(repr(float(text))) == exact else _decimal(exact)


def _whole(text: str) -> Any:
    number = int(text)
    return Int64(number) if -_LARGEST <= number < _LARGEST else _decimal(Decimal(text))


def _refused(constant: str) -> Any:
    raise ValueError(f"has {constant}, which is not JSON")


def _json(value: Any) -> str:
    """json.dumps has no way to write a number by its own digits."""
    if isinstance(value, Mapping):
        return (
            "{" + ", ".join(f"{_string(name)}: {_json(each)}" for name, each in value.items()) + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(_json, value)) + "]"
    if isinstance(value, Decimal128) and (exact := value.to_decimal()).is_finite():
        return str(exact)
    if isinstance(value, bool | int | float | str) or value is None:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    raise ValueError(f"has {value!r}, which JSON has not")


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


_WRITTEN: dict[Kind, Convert] = {
    Kind.INTEGER: _integer,
    Kind.DECIMAL: _decimal,
    Kind.BINARY: lambda value: Binary(value, 0),
    Kind.TIMESTAMP: _date,
    Kind.UUID: Binary.from_uuid,
    Kind.JSON: json_to_bson,
}
_READ: dict[Kind, Convert] = {
    Kind.INTEGER: _read_integer,
    Kind.DECIMAL: _read_decimal,
    Kind.FLOAT: _read_float,
    Kind.TEXT: values.text,
    Kind.BINARY: _read_binary,
    Kind.BOOLEAN: _read_boolean,
    Kind.TIMESTAMP: _read_date,
    Kind.UUID: _read_uuid,
    Kind.JSON: bson_to_json,
}


def _as_text(kind: Kind) -> Convert:
    return lambda value: text_of(kind, value)


_TEXT: dict[Kind, Convert] = {
    **{kind: _as_text(kind) for kind in Kind},
    Kind.DECIMAL: str,
    Kind.TIMESTAMP: lambda value: value.isoformat(sep=" ", timespec="microseconds"),
    Kind.FLOAT: repr,
}
_PARSED: dict[Kind, Callable[[str], Any]] = {
    Kind.INTEGER: int,
    Kind.DECIMAL: Decimal,
    Kind.FLOAT: float,
    Kind.BINARY: bytes.fromhex,
    Kind.BOOLEAN: lambda text: {"1": True, "0": False}[text],
    Kind.TIMESTAMP: values.timestamp,
    Kind.DATE: values.day,
    Kind.TIME: values.time_of_day,
    Kind.UUID: values.as_uuid,
    Kind.JSON: str,
}
