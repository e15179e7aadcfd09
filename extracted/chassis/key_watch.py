"""Fetches the keys of tokens before a token needs them: by then, their issuer may have gone.

A thread asks when the service starts, and goes on asking. The issuer publishes a key for longer
before it signs than passes between two of these questions, so whatever it has signed can be checked
by whoever was up meanwhile.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from typing import Protocol

log = logging.getLogger(__name__)

EVERY_S = 60.0
# While there is no answer: the issuer may be about to start for the first time.
AWAY_S = 5.0
STOP_S = 5.0


class Refreshed(Protocol):
    """Keys that can be fetched."""

    def refresh(self) -> bool:
        """Fetch them; whether that was possible."""
        ...


def pause_s(answered: bool, chance: float) -> float:
    """How long until the next question; half of it by chance, a number from 0 to 1."""
    full = EVERY_S if answered else AWAY_S
    return full / 2 + full / 2 * chance


class KeyWatch:
    """Keeps these keys fresh, in a thread that `start` begins."""

    def __init__(self, keys: Refreshed, pause_s: Callable[[bool, float], float] = pause_s) -> None:
        self._keys = keys
        self._pause_s = pause_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="jwks-watch", daemon=True)

    def start(self) -> None:
        """Ask now and from now on; after any fork, as threads do not survive one."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more. Does nothing where nothing was started."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(STOP_S)

    def _run(self) -> None:
        rng = random.Random()  # noqa: S311 (spreads questions; guards nothing)
        while not self._stopped.is_set():
            self._stopped.wait(self._pause_s(self._asked(), rng.random()))

    def _asked(self) -> bool:
        try:
            return self._keys.refresh()
        except Exception:
            log.exception("Keys of tokens could not be refreshed")
            return False
