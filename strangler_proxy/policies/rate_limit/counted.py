"""A route's limits made ready for counting: what is the same for all its requests. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from limits import RateLimitItem, RateLimitItemPerSecond

from strangler_proxy.config import RateLimit
from strangler_proxy.policies.rate_limit.shared_memory import Ask
from strangler_proxy.policies.rate_limit.window import SECOND_US


@dataclass(frozen=True, slots=True)
class Counted:
    """One limit of a route. `place`: of its caller among the callers of a request."""

    place: int
    amount: int
    window_us: int
    everyone: bool
    item: RateLimitItem
    names: tuple[str, str]
    hasher: blake2b

    def ask(self, callers: Sequence[bytes]) -> Ask:
        """What to count in shared memory."""
        hasher = self.hasher.copy()
        if not self.everyone:
            hasher.update(callers[self.place])
        return Ask(hasher.digest(), self.amount, self.window_us)

    def identifiers(self, callers: Sequence[bytes]) -> tuple[str, str, str]:
        """What to count in Redis: route, kind of caller, and the caller's digest.

        A caller may be a token or 30 kB long, so it is not written there itself. The digest has no
        secret, because all machines must come to the same.
        """
        if self.everyone:
            return (*self.names, "all")
        return (*self.names, blake2b(callers[self.place], digest_size=16).hexdigest())


@dataclass(frozen=True, slots=True)
class Plan:
    """The limits of a route, each once, and the configured ones that they were made of."""

    limits: tuple[RateLimit, ...]
    counted: tuple[Counted, ...]
    amounts: tuple[int, ...]


def plan(route: str, limits: tuple[RateLimit, ...], hasher: Callable[[bytes], blake2b]) -> Plan:
    """Make a route's limits ready. One that is written twice is counted once."""
    counted: dict[str, Counted] = {}
    for place, limit in enumerate(limits):
        amount, window_s = limit.amount, limit.window_s
        item = RateLimitItemPerSecond(amount, window_s, namespace="limit")
        names = (route, limit.by)
        # The key of `limits` holds all that tells one limit from another.
        key = item.key_for(*names)
        counted.setdefault(
            key,
            Counted(
                place,
                amount,
                window_s * SECOND_US,
                limit.by == "route",
                item,
                names,
                hasher(key.encode()),
            ),
        )
    ready = tuple(counted.values())
    return Plan(limits, ready, tuple(one.amount for one in ready))
