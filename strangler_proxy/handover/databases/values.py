"""Conversions between drivers' values and neutral ones that more than one dialect needs. Pure.

Each refuses, with a ValueError whose message ends a sentence about the column, what it would change
silently: a fraction that does not fit is an error here, where databases round.
"""

import math
import struct
import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from strangler_proxy.handover.databases.port import Convert


def integer(value: Any) -> int:
    """A whole number out of an integer or a decimal."""
    if isinstance(value, int):
        return int(value)
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        return int(value)
    raise ValueError(f"holds {value!r}, which is not a whole number")


def boolean(value: Any) -> bool:
    """0 or 1 and nothing else."""
    if value in (0, 1):
        return bool(value)
    raise ValueError(f"holds {value!r}, which is neither 0 nor 1")


def as_uuid(value: Any) -> uuid.UUID:
    """A UUID out of its text, with or without hyphens, or its 16 bytes."""
    try:
        return uuid.UUID(bytes=value) if isinstance(value, bytes) else uuid.UUID(value)
    except (ValueError, AttributeError, TypeError):
        raise ValueError(f"holds {value!r}, which is not a UUID") from None


def text(value: Any) -> str:
    """Text that is text."""
    if isinstance(value, str):
        return value
    raise ValueError(f"holds {value!r}, which is not text")


def timestamp(value: Any) -> datetime:
    """A moment in UTC without a zone, out of a datetime or ISO 8601 text."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"holds '{value}', which is not a date and time") from None
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    raise ValueError(f"holds {value!r}, which is not a date and time")


def day(value: Any) -> date:
    """A date out of a date or ISO 8601 text."""
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise ValueError(f"holds '{value}', which is not a date") from None
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    raise ValueError(f"holds {value!r}, which is not a date")


def time_of_day(value: Any) -> time:
    """A time of day out of a time, ISO 8601 text, or MySQL's span since midnight."""
    if isinstance(value, str):
        try:
            value = time.fromisoformat(value)
        except ValueError:
            raise ValueError(f"holds '{value}', which is not a time of day") from None
    if isinstance(value, timedelta) and timedelta() <= value < timedelta(days=1):
        return (datetime.min + value).time()
    if isinstance(value, time) and value.tzinfo is None:
        return value
    raise ValueError(f"holds {value!r}, which is not a time of day without a zone")


def fitting(scale: int) -> Convert:
    """Decimals with at most so many digits after the point: more would be rounded away."""

    def convert(value: Decimal | int) -> Decimal | int:
        if isinstance(value, int):
            return value
        exponent = value.as_tuple().exponent
        if not isinstance(exponent, int) or (-exponent > scale and value != round(value, scale)):
            raise ValueError(f"keeps {scale} digits after the point: {value} does not fit")
        return value

    return convert


def fraction(scale: int) -> Convert:
    """Times with at most so many digits of a second's fraction."""
    step = 10 ** (6 - scale)

    def convert(value: datetime | time) -> datetime | time:
        if value.microsecond % step:
            raise ValueError(f"keeps {scale} digits of a second's fraction: {value} does not fit")
        return value

    return convert


def single(value: float) -> float:
    """A binary fraction that four bytes hold."""
    if math.isfinite(value) and struct.unpack("f", struct.pack("f", value))[0] != value:
        raise ValueError(f"keeps four-byte numbers: {value!r} does not fit")
    return value


def after(first: Convert | None, then: Convert | None) -> Convert | None:
    """Both conversions, one after the other."""
    if first is None or then is None:
        return first or then
    return lambda value: then(first(value))


def uuid_writing(declared: str) -> Convert:
    """How a column that is declared so keeps UUIDs: bytes, or text where there is room for hyphens.

    SQLAlchemy's Uuid is CHAR(32) where a database has no type of its own.
    """
    if any(word in declared for word in ("binary", "blob", "bytea")):
        return _uuid_bytes
    return _uuid_digits if "(32)" in declared else str


def _uuid_bytes(value: uuid.UUID) -> bytes:
    return value.bytes


def _uuid_digits(value: uuid.UUID) -> str:
    return value.hex
