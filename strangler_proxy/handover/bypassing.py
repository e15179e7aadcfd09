"""Look for writers that bypass the proxy: in what is known, in a rehearsal, and in a cut-over.

`seen` reads what capture has noted. `Watch` is for while every proxy holds and has nothing in
flight: what appears in the change table then no proxy has let through, be its transaction older or
not. `rehearse` holds for that alone. SQLite names nobody, but shows that somebody writes.

Writes refused by the fence leave no entry, so who comes only behind it is seen by nothing here.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence

from strangler_proxy.handover import hold
from strangler_proxy.handover.crossing import Crossing
from strangler_proxy.handover.faults import HandoverRefused
from strangler_proxy.handover.hold import HoldRefused, Proxy
from strangler_proxy.handover.site import Site
from strangler_proxy.handover.way import Owner
from strangler_proxy.handover.writers import (
    Caught,
    KnownWriters,
    Report,
    judge_caught,
    judge_seen,
)

_MOST = 20_000  # entries; a watch holds their numbers in memory
_LOOKED_S = 0.05
_NAMELESS = {"sqlite": "SQLite", "mongodb": "MongoDB"}
_SLACK_S = 0.5


def seen(site: Site, owner: Owner) -> Report:
    """Who has written the owner's tables since the move began, judged by what moves.yaml declares.

    `site` is as open_site gives it.
    """
    at = site.owned_by(owner)
    if at.capture.notes_writers(at.source):
        return judge_seen(at.capture.writers(at.source), site.move.writers, owner.value)
    if at.ends.source.kind in _NAMELESS:
        name = _NAMELESS[at.ends.source.kind]
        told = f"{name} does not tell who writes; a rehearsal shows whether a proxy is bypassed"
    else:
        told = f"who writes is noted once `strangler data start {site.move.name}` is run again"
    return Report((), (told,))


class Watch:
    """The owner's change table from now on; nothing may be forgotten meanwhile."""

    def __init__(self, crossing: Crossing) -> None:
        self._crossing = crossing
        self._before = crossing.capture.makers(crossing.source, _MOST)
        if len(self._before) >= _MOST:
            raise HandoverRefused(
                f"{_MOST:,} changes wait, too many to see who makes more of them: let "
                f"`strangler data start {crossing.way.move}` catch up first"
            )

    def appeared(self) -> tuple[Caught, ...]:
        """The entries that were not there, by who made them and the table; so many at most."""
        now = self._crossing.capture.makers(self._crossing.source, _MOST)
        found = Counter(made for number, made in now.items() if number not in self._before)
        return tuple(
            Caught(name, table, changes)
            for (table, name), changes in sorted(found.items(), key=str)
        )


def refuse(report: Report, told: bool) -> tuple[str, ...]:
    """HandoverRefused when somebody bypasses a proxy, or warnings where a person has allowed it."""
    if not report.bypassing:
        return ()
    if not told:
        raise HandoverRefused(report.sentences)
    return report.sentences


def rehearse(
    crossing: Crossing,
    proxies: Sequence[Proxy],
    known: KnownWriters,
    seconds: float = 0.5,
    drain_s: float = 1.0,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Report:
    """Hold the move's requests for so long, and tell who writes nevertheless. Nothing is changed.

    Raises HoldRefused when a proxy does not hold so long: then nothing can be told.
    """
    holds = hold.acquire(proxies, seconds + drain_s + _SLACK_S, drain_s)
    try:
        watch, until = Watch(crossing), clock() + seconds
        while (left_s := until - clock()) > 0:
            crossing.watch()
            pause(min(left_s, _LOOKED_S))
        caught = watch.appeared()
    finally:
        released = hold.release(proxies, holds)
    if released.broken:
        raise HoldRefused(f"the rehearsal of the hold tells nothing: {released.broken}")
    return judge_caught(caught, known, f"in {seconds:g} s of a rehearsal")
