"""The watch on the file goes on, whatever a file does to whoever reads it."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from strangler_proxy.config import ConfigError, Problem
from strangler_proxy.serve.run import reload_when


class Reader:
    """Raises each fault in turn, and sees to it that the file changes once more."""

    def __init__(self, faults: list[Exception], changed: asyncio.Event) -> None:
        self.faults, self.changed = faults, changed
        self.done = asyncio.Event()

    async def follow_file(self) -> int:
        if not self.faults:
            self.done.set()
            return 2
        self.changed.set()
        raise self.faults.pop(0)


def test_every_change_is_followed_whatever_the_one_before_has_raised(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refusal = ConfigError([Problem("s.yaml", 3, "", "bad")])
    faults = [refusal, OSError("gone"), RecursionError("deep"), ValueError("odd")]

    async def follow() -> None:
        changed = asyncio.Event()
        changed.set()
        reader = Reader(list(faults), changed)
        following = asyncio.create_task(reload_when(changed, reader))
        await asyncio.wait_for(reader.done.wait(), 5)
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following

    asyncio.run(follow())
    assert len(caplog.records) == len(faults)
    assert "deep" in caplog.text
