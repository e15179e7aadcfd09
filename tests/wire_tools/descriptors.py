"""A process that has no file descriptor left."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

STANDARD = (0, 1, 2)


@contextmanager
def none_left() -> Iterator[None]:
    """Let nothing more be opened in this process meanwhile, whatever another thread closes."""
    for descriptor in STANDARD:
        os.fstat(descriptor)  # taken, so that the limit leaves none
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # The limit is on a new descriptor's number; poll(2) allows no more entries than that either.
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(STANDARD), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
