"""What a Redis that hangs costs: one time-out, and not one for each count."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from contextlib import closing

import limits
import pytest

from extracted.auth.counting import RESPITE_S, STORE_TIMEOUT_S, Counts

THREE = limits.parse("3/hour")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def silent() -> Iterator[str]:
    """A Redis that takes connections and says nothing."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        yield f"redis://127.0.0.1:{listening.getsockname()[1]}/0"


def test_a_redis_that_hangs_is_left_alone_for_a_while_and_counted_without(
    silent: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    counts = Counts(silent, clock)
    began = time.monotonic()
    waits = [counts.hit(THREE, "k") for _ in range(50)]
    assert time.monotonic() - began < 3 * STORE_TIMEOUT_S
    assert [wait_s > 0 for wait_s in waits] == [False] * 3 + [True] * 47

    clock.now += RESPITE_S
    began = time.monotonic()
    counts.hit(THREE, "k")
    assert time.monotonic() - began >= STORE_TIMEOUT_S
    assert len(caplog.messages) == 1
