"""How fast a move may read: a rate, or a pause for as long as a probe says so. Pure but for probes.

A probe looks at what the move might hurt (how far a replica is behind, how slowly the control
answers) and gives the seconds to wait before it is worth asking again; 0 lets the move go on. A
probe that never does ends the move with a sentence, since every wait has a bound.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from strangler_proxy.handover.faults import HandoverFault

Probe = Callable[[], float]
LONGEST_NAP_S = 5.0


@dataclass(frozen=True, slots=True)
class Pace:
    """When the next page may be read so that `rows_per_s` is kept; None keeps no rate.

    A pause that others caused is not made up for afterwards by going faster.
    """

    rows_per_s: float | None = None
    due: float = float("-inf")

    def after(self, rows: int, now: float) -> "Pace":
        """The pace once `rows` have been read at `now`."""
        if self.rows_per_s is None:
            return self
        return replace(self, due=max(self.due, now) + rows / self.rows_per_s)

    def wait_s(self, now: float) -> float:
        """Seconds until the next page may be read."""
        return max(0.0, self.due - now)

    def most_rows(self, budget_s: float) -> int | None:
        """How many rows a page may have so that it is no burst; None: as many as it likes."""
        return None if self.rows_per_s is None else max(1, int(self.rows_per_s * budget_s))


@dataclass(frozen=True, slots=True)
class Patience:
    """What probes have made the move wait, and for how long it bears that."""

    probes: Sequence[Probe] = ()
    longest_s: float = 600.0

    def nap_s(self, waited_s: float) -> float:
        """Ask the probes: seconds to wait now, after waiting for `waited_s` already.

        HandoverFault when they have said so for `longest_s`.
        """
        asked = max((probe() for probe in self.probes), default=0.0)
        if asked <= 0:
            return 0.0
        if waited_s >= self.longest_s:
            raise HandoverFault(
                f"the move was told to wait for {waited_s:.0f} s, and still is: what it waits for "
                "does not recover. What was moved so far is kept; run the same command again later"
            )
        return min(asked, LONGEST_NAP_S, self.longest_s)
