"""A storage of pictures without S3, for the image service's port."""

from __future__ import annotations

import hashlib

from extracted.image.storage import Facts, Reading, StorageError


class MemoryStorage:
    """Keeps pictures in a dict; while `broken`, every call fails as S3 would."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.broken = False
        self.opened = 0

    def _check(self) -> None:
        if self.broken:
            raise StorageError("broken for a test")

    def put(self, name: str, jpeg: bytes) -> None:
        """See `Storage`."""
        self._check()
        self.kept[name] = jpeg

    def look(self, name: str) -> Facts | None:
        """See `Storage`."""
        self._check()
        jpeg = self.kept.get(name)
        if jpeg is None:
            return None
        digest = hashlib.md5(jpeg, usedforsecurity=False).hexdigest()
        return Facts(len(jpeg), f'"{digest}"')

    def open(self, name: str) -> Reading | None:
        """See `Storage`."""
        facts = self.look(name)
        if facts is None:
            return None
        self.opened += 1
        return Reading(facts, iter([self.kept[name]]), lambda: None)

    def close(self) -> None:
        """See `Storage`."""
