"""Waits that grow while something is away, and one line in the log for each such time."""

from __future__ import annotations

import logging
import random

log = logging.getLogger(__name__)

FIRST_S = 0.2
LONGEST_S = 15.0


class Outage:
    """What is known of one time without `what`. For one thread."""

    def __init__(self, what: str, rng: random.Random | None = None) -> None:
        self._what = what
        self._rng = rng or random.Random()  # noqa: S311 (spreads waits; guards nothing)
        self._tries = 0

    def wait_s(self, error: Exception) -> float:
        """How long to wait after this failure: 0.2 s, doubled up to 15 s, of which half by chance.

        The first one is told in the log.
        """
        if self._tries == 0:
            log.warning("%s: %s Nothing is lost; trying again.", self._what, error)
        full = min(FIRST_S * 2.0 ** min(self._tries, 16), LONGEST_S)
        self._tries += 1
        return full / 2 + self._rng.random() * full / 2

    def over(self) -> None:
        """It works; told in the log if it had not before."""
        if self._tries:
            log.info("%s: works again", self._what)
        self._tries = 0
