"""The addresses of one upstream, and what is known of each. Pure: opens nothing, reads no clock."""

from collections.abc import Iterable
from dataclasses import dataclass

from strangler_proxy.config import HealthCheck
from strangler_proxy.config.address import Address
from strangler_proxy.gateway.health import Checked, Verdict


@dataclass(frozen=True, slots=True)
class Member:
    """One address of an upstream, as every worker is to treat it."""

    address: Address
    """Its host may be a name."""
    well: bool
    """False: its health checks fail."""
    draining: bool
    """An operator took it out: what is in flight may finish, nothing new is sent."""


class Roster:
    """Addresses in a stable order. What is known of one is forgotten when it leaves."""

    def __init__(self) -> None:
        self.addresses: tuple[Address, ...] = ()
        self.checked: dict[Address, Checked] = {}
        self._verdicts: dict[Address, Verdict] = {}
        self._draining: set[Address] = set()

    @property
    def members(self) -> tuple[Member, ...]:
        """Every address with what is known of it."""
        return tuple(map(self.member, self.addresses))

    def member(self, address: Address) -> Member:
        """One address with what is known of it."""
        well = self._verdicts.get(address, Verdict()).well
        return Member(address, well, address in self._draining)

    def become(self, addresses: Iterable[Address]) -> None:
        """Take these addresses; those that stay keep what is known of them."""
        self.addresses = tuple(dict.fromkeys(addresses))
        self._draining.intersection_update(self.addresses)
        for known in (self.checked, self._verdicts):
            for gone in known.keys() - set(self.addresses):
                del known[gone]

    def judge(self, address: Address, checked: Checked, rules: HealthCheck) -> bool:
        """Take note of a check; true when it has changed whether the address is well."""
        if address not in self.addresses:
            return False
        before = self._verdicts.get(address, Verdict())
        after = before.after(checked.passed, rules)
        self.checked[address], self._verdicts[address] = checked, after
        return after.well is not before.well

    def believe_all_well(self) -> None:
        """Forget what checks have said: nobody checks any more."""
        self.checked.clear()
        self._verdicts.clear()

    def drain(self, address: Address, draining: bool) -> None:
        """Take an address out, or back in."""
        (self._draining.add if draining else self._draining.discard)(address)
