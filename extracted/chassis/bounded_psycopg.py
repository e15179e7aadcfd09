"""A connection to PostgreSQL that gives up a server which says nothing; psycopg's own waits on.

Apart from `bounds`, because psycopg is installed only where it is needed.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg

T = TypeVar("T")


class BoundedConnection(psycopg.Connection[Any]):
    """Raises OperationalError, and is closed, when no answer comes in `silence_s`."""

    # Past the server's own bound of 15 s: one that is well says first that it was too long.
    silence_s = 17.0

    def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        """Wait for the server. What psycopg gives besides, its versions disagree about."""
        return super().wait(self._until(gen, time.monotonic() + self.silence_s), *args, **kwargs)

    def _until(self, gen: Generator[Any, Any, T], end: float) -> Generator[Any, Any, T]:
        try:
            wanted = next(gen)
            while True:
                # psycopg looks in every 0.1 s, with nothing.
                ready = yield wanted
                if not ready and time.monotonic() > end:
                    self.pgconn.finish()
                    told = f"the server has said nothing for {self.silence_s:g} s"
                    raise psycopg.OperationalError(told)
                wanted = gen.send(ready)
        except StopIteration as ended:
            value: T = ended.value
            return value
