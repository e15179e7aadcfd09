"""How long to wait before a database that went away is tried again. Pure."""

from dataclasses import dataclass

from strangler_proxy.handover.faults import HandoverFault

FIRST_S = 0.25
LONGEST_S = 15.0


@dataclass(slots=True)
class Outage:
    """Failures in a row, for at most `longest_s`; they end when something was done again."""

    longest_s: float
    tries: int = 0
    began: float = 0.0

    def failed(self, now: float, fault: HandoverFault) -> float:
        """Seconds to wait now; after `longest_s` of them the fault itself is raised."""
        if not self.tries:
            self.began = now
        elif now - self.began >= self.longest_s:
            raise fault
        self.tries += 1
        return min(LONGEST_S, FIRST_S * 2.0 ** min(self.tries - 1, 20))

    def over(self, now: float) -> float | None:
        """How long it lasted, if there was one."""
        if not self.tries:
            return None
        self.tries = 0
        return now - self.began
