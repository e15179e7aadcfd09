"""One upstream being followed: asked for at its source, checked, and changed at a reload.

What a new configuration leaves as it is runs on untouched, with all that is known.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from strangler_proxy.config import Consul, HealthCheck, Upstream
from strangler_proxy.config.address import Address
from strangler_proxy.gateway.discovery import consul, dns
from strangler_proxy.gateway.discovery.consul import ConsulSource
from strangler_proxy.gateway.discovery.dns import DnsSource
from strangler_proxy.gateway.discovery.names import Names
from strangler_proxy.gateway.discovery.source import Source
from strangler_proxy.gateway.discovery.watch import Watch
from strangler_proxy.gateway.health import AT_ONCE, Checked, Checks
from strangler_proxy.gateway.remembered import Entry, Remembered
from strangler_proxy.gateway.roster import Roster
from strangler_proxy.gateway.sessions import Sessions

log = logging.getLogger(__name__)
FIXED = "the configuration"


@dataclass
class Means:
    """What all upstreams share."""

    names: Names
    sessions: Sessions
    remembered: Remembered
    clock: Callable[[], float]
    touched: Callable[[], None]
    """Called when something may have changed."""
    places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    ending: set[asyncio.Task[None]] = field(default_factory=set)
    """Tasks that have been cancelled and are not over yet."""

    def end(self, task: asyncio.Task[None]) -> None:
        """Cancel a task, and keep it until it is over."""
        self.ending.add(task)
        task.add_done_callback(self.ending.discard)
        task.cancel()


class Following:
    """The addresses of one upstream, kept up to date."""

    def __init__(self, name: str, means: Means) -> None:
        self.name = name
        self.roster = Roster()
        self.watch: Watch | None = None
        self._means = means
        self._source = ""
        self._told_by: str | None = None
        """The source of the addresses: the one before until a new one answers; None if none has."""
        self._asked_by: object = None
        self._tls_on = False
        self._checks: Checks | None = None
        self._checked_by: object = None

    def follow(self, upstream: Upstream, registry: Consul) -> None:
        """Find and check its addresses as this configuration says."""
        self._find(upstream, registry)
        self._check(upstream)
        self._means.touched()

    def stop(self) -> None:
        """End all that runs; `follow` begins again with what is known now."""
        self._end_watch()
        self._end_checks()

    @property
    def to_remember(self) -> Entry | None:
        """What its source said last; None when it has none, or that has not spoken yet."""
        if self.watch is None or self._told_by != self._source:
            return None
        return Entry(self._source, tuple(map(str, self.roster.addresses)))

    def status(self) -> dict[str, Any]:
        """Its source and its addresses, with what is known of them; times are seconds ago."""
        now, watch = self._means.clock(), self.watch
        since = watch.failing_since if watch else None
        return {
            "upstream": self.name,
            "source": self._source,
            "failing_s": None if since is None else round(now - since, 1),
            "fault": watch.fault if watch else None,
            "addresses": [
                {
                    "address": str(member.address),
                    "well": member.well,
                    "draining": member.draining,
                    "check": _told(self.roster.checked.get(member.address), now),
                }
                for member in self.roster.members
            ],
        }

    # --- its source

    def _find(self, upstream: Upstream, registry: Consul) -> None:
        source = _described(upstream, registry)
        asked_by = source, upstream.dns, upstream.consul and registry.token_env
        if asked_by != self._asked_by:
            self._end_watch()
        # Addresses that spoke plain HTTP are no use to those who will speak TLS.
        kept = self.roster.addresses if self._tls_on is upstream.tls_on else ()
        self._source, self._asked_by, self._tls_on = source, asked_by, upstream.tls_on
        if upstream.origins:
            self._take(tuple(dict.fromkeys(origin.address for origin in upstream.origins)))
        elif self.watch is None and (place := self._new_source(upstream, registry)):
            self._start_watch(kept, place)

    def _new_source(self, upstream: Upstream, registry: Consul) -> Source | None:
        means = self._means
        if upstream.consul is not None:
            return ConsulSource(means.sessions.kept, registry, upstream.consul, means.clock)
        return None if upstream.dns is None else DnsSource(means.names, upstream.dns)

    def _start_watch(self, kept: tuple[Address, ...], source: Source) -> None:
        if not kept:
            kept = self._means.remembered.addresses(self.name, self._source)
            self._told_by = self._source if kept else None
        self.roster.become(kept)
        what = f"'{self.name}' ({self._source})"
        self.watch = Watch(what, source, kept, self._take, self._means.clock)

    def _take(self, addresses: tuple[Address, ...]) -> None:
        self._told_by = self._source
        if self.roster.addresses != addresses:
            self.roster.become(addresses)
            self._cover()
        self._means.touched()

    def _end_watch(self) -> None:
        if self.watch is not None:
            self.watch.stop()
            self._means.end(self.watch.task)
            self.watch = None

    # --- its checks

    def _check(self, upstream: Upstream) -> None:
        rules, how = upstream.health_check, (upstream.tls_on, upstream.tls, upstream.tls_name)
        checked_by = rules and (rules, upstream.health, how)
        if checked_by != self._checked_by:
            self._end_checks()
            self._checked_by = checked_by
            if rules is None:
                self.roster.believe_all_well()
            else:
                self._checks = self._new_checks(upstream, rules)
        self._cover()

    def _new_checks(self, upstream: Upstream, rules: HealthCheck) -> Checks | None:
        session, places, clock = self._means.sessions.fresh, self._means.places, self._means.clock
        try:
            return Checks(upstream, rules, session, places, self._judge, clock)
        except OSError as fault:  # ssl.SSLError is one too
            # The workers refuse such a file; that its addresses are unwell nobody has said.
            log.error("'%s' is not checked: its TLS settings cannot be used: %s", self.name, fault)  # noqa: TRY400 - the reason is told
            return None

    def _cover(self) -> None:
        if self._checks is not None:
            for task in self._checks.cover(self.roster.addresses):
                self._means.end(task)

    def _judge(self, address: Address, checked: Checked) -> None:
        if self._checks is None or not self.roster.judge(address, checked, self._checks.rules):
            return
        if self.roster.member(address).well:
            log.info("%s of '%s' is well again", address, self.name)
        else:
            log.warning("%s of '%s' is not well: %s", address, self.name, checked.said)
        self._means.touched()

    def _end_checks(self) -> None:
        if self._checks is not None:
            for task in self._checks.cover(()):
                self._means.end(task)
        self._checks = self._checked_by = None


def _described(upstream: Upstream, registry: Consul) -> str:
    if upstream.consul is not None:
        return consul.described(registry, upstream.consul)
    return FIXED if upstream.dns is None else dns.described(upstream.dns)


def _told(checked: Checked | None, now: float) -> dict[str, Any] | None:
    if checked is None:
        return None
    return {"passed": checked.passed, "said": checked.said, "ago_s": round(now - checked.at, 1)}
