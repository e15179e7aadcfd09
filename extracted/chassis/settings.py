"""Reading a service's settings: each variable once, all faults reported together. Opens nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")


class SettingsError(ValueError):
    """The environment does not describe a working service; `problems` has a line for each fault."""

    def __init__(self, service: str, problems: list[str]) -> None:
        told = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"The {service} service cannot start:\n{told}")
        self.problems = problems


class Environment:
    """Reads variables, noting faults and reading on; `check` raises when there were any.

    What a faulty variable reads as must not be used before `check` has passed.
    """

    def __init__(self, service: str, variables: Mapping[str, str]) -> None:
        self._service = service
        self._variables = variables
        self._problems: list[str] = []

    def read(self, name: str, parse: Callable[[str], T], default: str | None = None) -> T:
        """The variable as `parse` understands it; without a default it has to be set."""
        text = self._variables.get(name) or default
        try:
            if text is None:
                raise ValueError("is not set")  # noqa: TRY301 (a fault like any other)
            return parse(text)
        except ValueError as error:
            self._problems.append(f"{name} {error}")
            return None  # type: ignore[return-value]  # see the class: `check` comes first

    def optional(self, name: str, parse: Callable[[str], T]) -> T | None:
        """The variable as `parse` understands it, or None when it is not set."""
        return self.read(name, parse) if self._variables.get(name) else None

    def check(self) -> None:
        """Raise SettingsError with every fault noted, if there is one."""
        if self._problems:
            raise SettingsError(self._service, self._problems)


def http_url(text: str) -> str:
    """An http:// or https:// address without its last slash."""
    if not _is_http(text):
        told = f"is {without_password(text)!r}, which is not an http:// or https:// address"
        raise ValueError(told)
    return text.rstrip("/")


def without_password(text: str) -> str:
    """An address as it may be printed, however wrong it is: without what stands before an `@`."""
    _, at, rest = text.rpartition("@")
    return f"…@{rest}" if at else text


def _is_http(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of the port, or of an address of IPv6
        return False


def secret(text: str) -> str:
    """A secret of at least 32 bytes, as HS256 asks for (RFC 7518, 3.2)."""
    if len(text.encode()) < 32:
        raise ValueError("is shorter than 32 bytes; make one with `openssl rand -hex 32`")
    return text


def whole(least: int, most: int) -> Callable[[str], int]:
    """A parser of whole numbers within these bounds."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise ValueError(f"is {text!r}; write a whole number from {least} to {most}")
        return int(text)

    return parse
