"""The consumer of copied names, in a thread of the test's."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from extracted.posts.consumer import run
from extracted.posts.settings import ConsumerSettings


@contextmanager
def consuming(chosen: ConsumerSettings) -> Iterator[None]:
    """It runs for the block, and ends with it."""
    stop = threading.Event()
    thread = threading.Thread(target=run, args=(chosen, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive()
