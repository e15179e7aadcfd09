"""How soon a source may be asked again. Pure: the time and the chance are handed in."""

FIRST_S = 0.25
LONGEST_S = 5.0


class Pace:
    """A token bucket: `burst` questions at once, then one each `every_s` seconds.

    Consul's rule for blocking queries: changes that come seldom are seen without delay, and those
    that come in a flood turn the loop into polling.
    """

    def __init__(self, burst: int, every_s: float) -> None:
        self._every_s = every_s
        self._lead_s = (burst - 1) * every_s
        self._full_at = float("-inf")
        """When the bucket would be full again (the generic cell rate algorithm)."""

    def delay_s(self, now: float) -> float:
        """Seconds until the next question may go; it counts as asked."""
        self._full_at = max(self._full_at, now)
        delay_s = max(0.0, self._full_at - self._lead_s - now)
        self._full_at += self._every_s
        return delay_s


def backoff_s(failures: int, chance: float) -> float:
    """How long to wait after so many failures in a row; `chance` in [0, 1) spreads many proxies."""
    whole = min(LONGEST_S, FIRST_S * 2.0 ** min(failures - 1, 16))
    return whole * (0.5 + chance / 2)
