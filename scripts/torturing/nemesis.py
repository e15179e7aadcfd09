"""What dies when, from a seed. Pure: the same seed gives the same deaths at the same times.

Times are counted from one death to the next, so that they do not depend on how fast a machine is;
what is going on at that moment does.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from scripts.torturing.failures import Failure

STEPS = (
    *("installed", "prepared", "intended", "held", "fenced", "drained", "verified", "numbered"),
    *("decided", "flipped", "opened", "released", "recorded", "applied", "forgotten"),
)
"""Behind what a mover may die: steps of a cut-over, and the two of the tail."""


class Death(StrEnum):
    """What is done to whom."""

    MOVER = "mover killed"
    MOVER_BEHIND = "mover killed behind a step"
    MOVER_PAUSED = "mover stopped and continued"
    WORKER = "proxy's worker killed"
    WORKER_PAUSED = "proxy's worker stopped and continued"
    PROXY = "proxy killed"
    SERVICE = "service killed"
    DATABASE = "database killed"
    SESSION = "database's session killed"
    BYPASS = "bypassing writer killed"


WEIGHTS: Mapping[Death, int] = {
    Death.MOVER: 6,
    Death.MOVER_BEHIND: 8,
    Death.MOVER_PAUSED: 2,
    Death.WORKER: 3,
    Death.WORKER_PAUSED: 2,
    Death.PROXY: 1,
    Death.SERVICE: 2,
    Death.DATABASE: 2,
    Death.SESSION: 1,
    Death.BYPASS: 2,
}
_FENCES = frozenset({Failure.UP, Failure.SHUT})
_AWAY = frozenset({Failure.UNAVAILABLE, Failure.DATABASE, Failure.SHUT})
EXCUSES: Mapping[Death, frozenset[Failure]] = {
    # Between the decision and the opening nobody may write until the mover is started again.
    Death.MOVER: frozenset({Failure.SHUT}),
    Death.MOVER_BEHIND: frozenset({Failure.SHUT}),
    Death.MOVER_PAUSED: frozenset({Failure.SHUT}),
    # What was parked at a worker is broken off; its successor begins with the hold.
    Death.WORKER: frozenset({Failure.BROKEN}),
    # A flip waits for it, and the others' holds may run out meanwhile.
    Death.WORKER_PAUSED: frozenset({Failure.SHUT}),
    Death.PROXY: _FENCES | {Failure.BROKEN, Failure.UNAVAILABLE},
    Death.SERVICE: _AWAY,
    Death.DATABASE: _AWAY,
    Death.SESSION: _AWAY,
    Death.BYPASS: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Act:
    """One death: how long after the one before, at which of two sides, for how long, where.

    `with_mover`: the mover is killed while the database is away.
    """

    after_s: float
    death: Death
    side: int
    pause_s: float
    step: str
    with_mover: bool


def acts(seed: int, deaths: Sequence[Death], every_s: float) -> Iterator[Act]:
    """These deaths without end, `every_s` apart in the mean; none where none are wanted."""
    rng = random.Random(f"nemesis {seed}")  # noqa: S311 - no secret
    weights = [WEIGHTS[death] for death in deaths]
    while deaths:
        yield Act(
            after_s=rng.uniform(0.2, 1.8) * every_s,
            death=rng.choices(deaths, weights)[0],
            side=rng.randrange(2),
            pause_s=rng.choice((0.1, 0.5, 1.0, 2.5)),
            step=rng.choice(STEPS),
            with_mover=rng.random() < 0.3,
        )
