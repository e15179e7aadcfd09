"""Raw keys as text that names the type of each value: in change tables and checkpoints. Pure.

A JSON array: numbers and texts as JSON has them, anything else as {"type": "text"}. The triggers of
each dialect write the same, though not always with the same spaces; compare decoded keys.
"""

import json
import uuid
from collections.abc import Callable, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from strangler_proxy.handover.databases.port import Kind, Row
from strangler_proxy.handover.faults import HandoverRefused

KEY_KINDS = frozenset(
    (
        Kind.INTEGER,
        Kind.TEXT,
        Kind.BINARY,
        Kind.UUID,
        Kind.DECIMAL,
        Kind.BOOLEAN,
        Kind.DATE,
        Kind.TIMESTAMP,
    )
)
"""Kinds whose equal values are found again by equality; binary fractions are not among them."""

_WRITTEN: dict[type, tuple[str, Callable[[Any], str]]] = {
    bytes: ("hex", lambda value: value.hex()),
    uuid.UUID: ("uuid", str),
    Decimal: ("decimal", str),
    datetime: ("timestamp", lambda value: value.isoformat(sep=" ", timespec="microseconds")),
    date: ("date", date.isoformat),
    time: ("time", time.isoformat),
}
_READ: dict[str, Callable[[str], Any]] = {
    "hex": bytes.fromhex,
    "uuid": uuid.UUID,
    "decimal": Decimal,
    "timestamp": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
}


def encode(raw_key: Sequence[Any]) -> str:
    """The key as text; `decode` gives equal values. TypeError for a type that no key has."""
    return json.dumps([_written(value) for value in raw_key], ensure_ascii=False)


def decode(text: str) -> Row:
    """The raw key that was written; HandoverRefused says what is no key."""
    try:
        values = json.loads(text)
        if not isinstance(values, list):
            raise TypeError("no array")  # noqa: TRY301 - told below, as all that is no key
        return tuple(_read(value) for value in values)
    except (ValueError, TypeError, KeyError, ArithmeticError) as fault:
        raise HandoverRefused(f"'{text}' is not a row's key: {fault!r}") from fault


def _written(value: Any) -> Any:
    if isinstance(value, bool | int | str):
        return value
    name, write = _WRITTEN.get(type(value), ("", None))
    if write is None:
        raise TypeError(f"{value!r} cannot be part of a key")
    return {name: write(value)}


def _read(value: Any) -> Any:
    if isinstance(value, dict):
        ((name, text),) = value.items()
        return _READ[name](text)
    if isinstance(value, bool | int | str):
        return value
    raise TypeError(f"{value!r} cannot be part of a key")
