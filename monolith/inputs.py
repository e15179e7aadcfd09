"""What clients send, checked: every wrong field is named in one 400. Touches no database."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from flask import Request
from werkzeug.exceptions import BadRequest

from monolith.db import MAX_ID
from monolith.errors import ApiError

MAX_JSON_BYTES = 1024 * 1024
MAX_PAGE = 1_000_000
# No quoted ones, which nobody has: what fits is safe in a header and in a command of SMTP, and the
# email worker sends to all of it.
EMAIL = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+"
)


class Fields:
    """The values of one JSON object or form; problems are collected, and `check` raises them."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self.values = values
        self.problems: list[dict[str, str]] = []

    def text(self, name: str, *, most: int, least: int = 1, strip: bool = False) -> str:
        """A required text of `least` to `most` characters; blank space alone is not text."""
        value = self.values.get(name)
        if value is None:
            return self._wrong(name, "is required")
        if not isinstance(value, str):
            return self._wrong(name, "must be a text")
        text = value.strip() if strip else value
        if not text.strip():
            return self._wrong(name, "must not be empty")
        if not least <= len(text) <= most:
            return self._wrong(name, f"must have {least} to {most} characters; it has {len(text)}")
        if "\0" in text or any("\ud800" <= c <= "\udfff" for c in text):
            return self._wrong(name, "has a character that cannot be stored")
        return text

    def email(self, name: str) -> str:
        """A required mail address, in lower case."""
        text = self.text(name, most=254, strip=True)
        if text and not (text.isascii() and EMAIL.fullmatch(text)):
            return self._wrong(name, "is not a mail address")
        return text.lower()

    def whole(self, name: str, *, least: int, most: int) -> int:
        """A required whole number; true and 1.0 are not whole numbers."""
        value = self.values.get(name)
        if value is None:
            self._wrong(name, "is required")
        elif isinstance(value, bool) or not isinstance(value, int):
            self._wrong(name, "must be a whole number")
        elif not least <= value <= most:
            self._wrong(name, f"must be from {least} to {most}")
        else:
            return value
        return 0

    def wrong(self, name: str, message: str) -> None:
        """Note a problem that only the caller can see."""
        self._wrong(name, message)

    def check(self) -> None:
        """Raise the 400 that names every problem, if there is one."""
        if self.problems:
            raise invalid(self.problems)

    def _wrong(self, name: str, message: str) -> str:
        self.problems.append({"field": name, "message": message})
        return ""


def invalid(problems: list[dict[str, str]]) -> ApiError:
    """The 400 for fields that are wrong."""
    told = "; ".join(f"{problem['field']} {problem['message']}" for problem in problems)
    return ApiError(400, "invalid_input", f"{told}.", fields=problems)


def json_fields(request: Request) -> Fields:
    """The request's JSON object.

    Raises:
        ApiError: 415 for another content type, 400 for anything but a JSON object, 413 past 1 MiB.
    """
    if not request.is_json:
        raise ApiError(
            415, "unsupported_media_type", "Send JSON with Content-Type: application/json."
        )
    request.max_content_length = MAX_JSON_BYTES
    try:
        values = request.get_json()
    except (BadRequest, RecursionError):
        raise ApiError(400, "malformed_json", "The body is not well-formed JSON.") from None
    if not isinstance(values, dict):
        raise ApiError(400, "malformed_json", "The body must be a JSON object.")
    return Fields(values)


def row_id(value: int, what: str) -> int:
    """An id from a path, if a row could have it; else the 404 that the missing row would get."""
    if not 1 <= value <= MAX_ID:
        raise ApiError(404, "not_found", f"There is no such {what}.")
    return value


@dataclass(frozen=True, slots=True)
class Page:
    """A bounded window on a list: page 1 is the first."""

    number: int
    size: int

    @property
    def offset(self) -> int:
        """How many rows come before this page."""
        return (self.number - 1) * self.size


def page(arguments: Mapping[str, str], *, default_size: int = 20, most: int = 100) -> Page:
    """Read `page` and `per_page` of a query; 400 outside their bounds."""
    numbers = query_numbers(
        arguments, {"page": (1, 1, MAX_PAGE), "per_page": (default_size, 1, most)}
    )
    return Page(numbers["page"], numbers["per_page"])


def query_numbers(
    arguments: Mapping[str, str], wanted: Mapping[str, tuple[int | None, int, int]]
) -> dict[str, int]:
    """Read whole numbers of a query: name -> (default or None for required, least, most)."""
    fields = Fields({})
    numbers: dict[str, int] = {}
    for name, (default, least, most) in wanted.items():
        text = arguments.get(name)
        if text is None and default is not None:
            numbers[name] = default
        elif text is None:
            fields.wrong(name, "is required")
        elif not (text.isascii() and text.isdigit() and len(text) <= 10):
            fields.wrong(name, "must be a whole number")
        elif not least <= int(text) <= most:
            fields.wrong(name, f"must be from {least} to {most}")
        else:
            numbers[name] = int(text)
    fields.check()
    return numbers
