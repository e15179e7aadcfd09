"""The last known addresses in a small file, for a start while the registry is down.

The file is written beside and renamed, so it is whole whenever the process ends; it is not synced,
for a power cut costs what a registry will say again. What cannot be used is ignored, and told.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from strangler_proxy.config.address import Address, parse_address

log = logging.getLogger(__name__)
MOST_BYTES = 64 * 2**20


class Entry(msgspec.Struct, frozen=True):
    """What one upstream's source said last; `source` is its whole definition in words."""

    source: str
    addresses: tuple[str, ...]


class _Content(msgspec.Struct):
    upstreams: dict[str, Entry]
    version: Literal[1] = 1


class Remembered:
    """The file; read once, when made."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written = _encoded({})
        self._told: str | None = None
        self._entries = self._read()

    def addresses(self, upstream: str, source: str) -> tuple[Address, ...]:
        """What this source said last of this upstream; none where it has another source now."""
        entry = self._entries.get(upstream)
        if entry is None or entry.source != source:
            return ()
        return tuple(map(parse_address, entry.addresses))

    def save(self, entries: Mapping[str, Entry]) -> None:
        """Write the entries down if they differ from what is written; a failure is logged."""
        self._entries = dict(entries)
        content = _encoded(self._entries)
        if content == self._written:
            return
        new = self._path.with_name(f"{self._path.name}.new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            new.write_bytes(content)
            new.replace(self._path)
        except OSError as fault:
            self._tell(f"the last known addresses cannot be kept in {self._path}: {fault}")
            return
        self._written, self._told = content, None

    def _tell(self, message: str) -> None:
        if message != self._told:
            log.error(message)
        self._told = message

    def _read(self) -> dict[str, Entry]:
        try:
            with self._path.open("rb") as file:
                content = file.read(MOST_BYTES + 1)
        except FileNotFoundError:
            return {}
        except OSError as fault:
            self._ignore(str(fault))
            return {}
        if len(content) > MOST_BYTES:
            self._ignore(f"it is longer than {MOST_BYTES} bytes")
            return {}
        try:
            entries = _decoded(content)
        except (ValueError, RecursionError) as fault:  # msgspec's errors are ValueErrors
            self._ignore(str(fault))
            return {}
        self._written = content
        return entries

    def _ignore(self, reason: str) -> None:
        log.warning("the last known addresses in %s cannot be used: %s", self._path, reason)


def _encoded(entries: dict[str, Entry]) -> bytes:
    content = msgspec.json.encode(_Content(entries), order="sorted")
    return msgspec.json.format(content, indent=1) + b"\n"


def _decoded(content: bytes) -> dict[str, Entry]:
    entries = msgspec.json.decode(content, type=_Content).upstreams
    for entry in entries.values():
        for address in entry.addresses:
            parse_address(address)
    return entries
