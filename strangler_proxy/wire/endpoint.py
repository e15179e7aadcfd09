"""One address of an upstream as one worker sees it: its kept connections, and how it stands."""

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from strangler_proxy.config.address import Address
from strangler_proxy.policies.ejection import Standing

if TYPE_CHECKING:
    from strangler_proxy.wire.pool import Pool
    from strangler_proxy.wire.upstream import UpstreamConnection


class Member(NamedTuple):
    """An address as the supervisor knows it."""

    address: Address
    well: bool = True
    """Nobody who checks it says otherwise."""
    draining: bool = False
    """An operator has taken it out."""


class Endpoint:
    """One address; connections are lent most recently used first."""

    __slots__ = ("address", "gone", "idle", "in_flight", "member", "pool", "standing")

    def __init__(self, pool: "Pool", member: Member) -> None:
        self.pool = pool
        self.member = member
        self.address = member.address
        self.standing = Standing()
        self.in_flight = 0
        """Connections that are lent or being opened."""
        self.idle: deque[UpstreamConnection] = deque()
        self.gone = False
        """It is no address of the upstream any more."""

    def lend(self, now: float) -> "UpstreamConnection | None":
        """Take a kept connection that is still good, None if there is none."""
        idle = self.idle
        while idle:
            connection = idle.pop()
            # What has come while nobody asked must not be taken for the next request's answer.
            if connection.good_until > now and connection.quiet():
                self.in_flight += 1
                return connection
            connection.close()
        return None

    def forget(self, connection: "UpstreamConnection") -> None:
        """An idle connection was closed by the upstream."""
        if connection in self.idle:
            self.idle.remove(connection)

    def close_idle(self, now: float = float("inf")) -> None:
        """Close what has not been used for too long; the oldest come first."""
        while self.idle and self.idle[0].good_until <= now:
            self.idle.popleft().close()
