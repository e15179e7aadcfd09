"""Whether a move can be handed over now: every check, each good or bad. Changes nothing.

A check that is good says what was seen, one that is bad what to do. None is a promise: what the
cut-over itself needs, it looks at again under its claims.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from strangler_proxy.handover import bypassing, fingerprint, reverse
from strangler_proxy.handover.counted import counted
from strangler_proxy.handover.databases.port import Session
from strangler_proxy.handover.faults import HandoverRefused
from strangler_proxy.handover.hold import Proxy
from strangler_proxy.handover.ledger import Record
from strangler_proxy.handover.ownership import Ownership
from strangler_proxy.handover.site import Site
from strangler_proxy.handover.standing import Phase, Standing
from strangler_proxy.handover.way import Owner, Way

MOST_WAITING = 100_000
"""Changes; a cut-over's own catching up takes some seconds for so many."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; `says`: what was seen, a sentence."""

    what: str
    good: bool
    says: str


@dataclass(frozen=True, slots=True)
class Known:
    """What stands in the move's files: its ledger, its owner, its last verification."""

    standing: Standing
    owned: Ownership
    verified: Record | None
    runs: str | None


def readiness(
    site: Site,
    known: Known,
    proxies: Sequence[Proxy],
    to: Owner,
    despite_writers: bool = False,
    wall: Callable[[], float] = time.time,
) -> tuple[Check, ...]:
    """Everything that a cut-over to this side needs; `site` is as open_site gives it.

    `despite_writers`: who may bypass the proxies is told, and is not against it.
    """
    return tuple(_checks(site, known, proxies, to, despite_writers, wall))


def not_ready(checks: Sequence[Check]) -> tuple[str, ...]:
    """What the bad ones say."""
    return tuple(check.says for check in checks if not check.good)


def _checks(
    site: Site,
    known: Known,
    proxies: Sequence[Proxy],
    to: Owner,
    despite_writers: bool,
    wall: Callable[[], float],
) -> Iterator[Check]:
    copied = known.standing.phase == Phase.TAIL
    yield _phase(site.move.name, known.standing.phase, copied)
    yield _mover(known.runs)
    yield _settled(known.owned)
    yield _owner(site.move.name, known.owned.owner, to)
    yield _tables(site, known.standing)
    if copied:
        yield from _at_work(site, to, despite_writers, wall)
    yield _verified(known.verified)
    for proxy in proxies:
        yield _proxy(proxy, to)


def _at_work(
    site: Site, to: Owner, despite_writers: bool, wall: Callable[[], float]
) -> Iterator[Check]:
    """What the move keeps inside the databases; figures only where all that counts is there."""
    way = site.way_of(to.other)
    ends = {Owner.CONTROL: site.source, Owner.CANDIDATE: site.target}
    source, target = ends[way.owner], ends[to]
    capture = _captures(way, source, target)
    yield _triggers("capture", capture)
    fences = (*way.source_fence().missing(source), *way.target_fence().missing(target))
    yield _triggers("fences", fences)
    if not capture:
        yield _lag(site.owned_by(way.owner), wall)
        found = bypassing.seen(site, way.owner)
        good = despite_writers or not found.bypassing
        yield Check("writers", good, "; ".join(found.sentences))
    if not (capture or fences):
        against = reverse.against(way, source, target)
        told = "; ".join(against) or f"only the {way.owner}'s tables take writes, and only they did"
        yield Check("writes", not against, told)


def _phase(name: str, phase: Phase, copied: bool) -> Check:
    if copied:
        return Check("copied", True, "all tables are copied")
    return Check(
        "copied",
        False,
        f"{name} is {phase}: run `strangler data start {name}` until it has caught up",
    )


def _mover(runs: str | None) -> Check:
    if runs is None:
        return Check("mover", True, "nobody is at work; `start` will carry changes back afterwards")
    stands_aside = "(start, " in runs
    told = "stands aside meanwhile" if stands_aside else "is at work: wait for its end"
    return Check("mover", stands_aside, f"{runs} {told}")


def _settled(owned: Ownership) -> Check:
    if not owned.intent:
        return Check("settled", True, f"no cut-over is under way; {owned.cut_overs} are done")
    return Check(
        "settled",
        False,
        "a cut-over was begun and did not end: `start`, or this with --execute, settles it first",
    )


def _owner(name: str, owner: Owner, to: Owner) -> Check:
    return Check("owner", owner == to.other, f"the {owner} owns the tables of {name}")


def _tables(site: Site, standing: Standing) -> Check:
    if standing.begun is None:
        return Check("tables", True, "they can be paired")
    try:
        fingerprint.check(standing.begun.fingerprint, site.pairs, site.source, site.target)
    except HandoverRefused as changed:
        return Check("tables", False, str(changed))
    return Check("tables", True, "they are as they were when the move was begun")


def _captures(way: Way, source: Session, target: Session) -> tuple[str, ...]:
    reverse = way.reverse_capture()
    return (*way.turned().reverse_capture().missing(source), *reverse.missing(target))


def _triggers(what: str, missing: Sequence[str]) -> Check:
    if not missing:
        return Check(what, True, "every trigger of both sides is there")
    told = "; ".join(missing)
    return Check(what, False, f"{told}: `strangler data start` makes it anew or says what to do")


def _lag(seen: Site, wall: Callable[[], float]) -> Check:
    backlog = seen.capture.backlog(seen.source)
    age_s = 0.0 if backlog.oldest_at is None else max(0.0, wall() - backlog.oldest_at)
    says = counted(backlog.entries, "change waits", "changes wait")
    says += f", the oldest for {age_s:.1f} s"
    few = backlog.entries <= MOST_WAITING
    return Check("lag", few, says if few else f"{says}: let `start` catch up first")


def _verified(told: Record | None) -> Check:
    if told is None:
        return Check("verified", True, "never; the cut-over verifies everything before its hold")
    rows = f"{counted(told.get('rows', 0))} at {told.get('at')}"
    if told.get("agrees"):
        return Check("verified", True, f"both sides agreed in {rows}")
    return Check(
        "verified",
        False,
        f"{told.get('differ')} of {rows} differed: run `strangler data verify` again until both "
        "sides agree",
    )


def _proxy(proxy: Proxy, to: Owner) -> Check:
    try:
        proxy.prepare(to)
    except HandoverRefused as refused:
        return Check("proxy", False, str(refused))
    return Check("proxy", True, f"{proxy.name} runs, and its routes are served by the {to.other}")
