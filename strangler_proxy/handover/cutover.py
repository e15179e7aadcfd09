"""Hand the writes of a move's tables over to the other side, or leave everything as it was.

The order of the steps is the protocol, which model/handover.pml checks. Until the fence of the
owner's tables is made permanent everything can be undone, since nobody but the mover has written at
the target; once the target's fence is lifted there is only forward. Between the two both sides are
shut. Killed anywhere, `resume` finds from both fences what is to be done, before anything else is.

Rollback is the same, over the way turned round.

Where the model's transitions are: tail.drain is Crossing.drain, verify.changed_since is Proof.rest,
flip.flip is hold.flip under a hold and hold.serve without one, ledger.record is OwnerLedger.record;
the others are named as there.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from strangler_proxy.handover import bypassing, fingerprint, hold, parts, proof, reverse
from strangler_proxy.handover.bypassing import Watch
from strangler_proxy.handover.crossing import Crossing
from strangler_proxy.handover.databases.port import Session
from strangler_proxy.handover.deciding import Next, fence_seconds, next_after_crash, time_left
from strangler_proxy.handover.faults import HandoverFault, HandoverRefused
from strangler_proxy.handover.fence import Standing
from strangler_proxy.handover.hold import Holds, Proxy
from strangler_proxy.handover.ownership import OwnerKind, OwnerLedger
from strangler_proxy.handover.proof import Proof
from strangler_proxy.handover.way import Owner
from strangler_proxy.handover.writers import KnownWriters, judge_caught
from strangler_proxy.running.client import Released

Checkpoint = Callable[[str], None]
"""Called between steps, with the name of the step that has ended."""


class _Late(HandoverFault):
    """The hold leaves no time for what is still to be done."""


class Unsettled(HandoverFault):
    """It is not known how far a cut-over came: open the way anew and `resume`."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """How long things may take, in seconds.

    `drain_s`: requests sent before the hold; `writers_s`: transactions under way when the fence
    comes up. `skew_s`: what clocks may be wrong by. `small`: entries that a step of the tail may
    still find when the hold is asked for. `whole`: verify both sides whole before it. `margin`:
    ids that may be given between the numbering before the hold and the one under it.

    Whoever bypasses a proxy is looked for in a rehearsal of the hold of `rehearsal_s` (0: none),
    and again until the fence is up; `writers` are those that are expected. With `despite_writers`
    there is no rehearsal, and who is found is a warning only.
    """

    hold_s: float = 2.0
    drain_s: float = 1.0
    writers_s: float = 0.5
    skew_s: float = 0.2
    catch_up_s: float = 60.0
    small: int = 100
    margin: int = 1_000
    whole: bool = True
    rehearsal_s: float = 0.5
    writers: KnownWriters = field(default_factory=KnownWriters)
    despite_writers: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a cut-over ended. `owner`: whose the tables are now. `reason`: why it was undone.

    `steps_s` has how long each step took; `hold_s` is from the request for the hold to the end of
    the release, 0 where there was none. `held` requests waited for it; `drained` entries were
    applied under it, `compared` rows before and under it. `warnings` are left for people.
    """

    done: bool
    owner: Owner
    reason: str | None = None
    steps_s: Mapping[str, float] = field(default_factory=dict)
    hold_s: float = 0.0
    held: int = 0
    drained: int = 0
    compared: int = 0
    warnings: tuple[str, ...] = ()


def told(outcome: Outcome) -> tuple[str, ...]:
    """How one ended that was resumed, in words."""
    if outcome.done:
        ended = f"it was completed: the {outcome.owner} owns the tables"
    else:
        ended = f"it was undone, and the {outcome.owner} owns the tables: {outcome.reason}"
    return (ended, *outcome.warnings)


def _nothing(_: str) -> None:
    pass


def run(
    crossing: Crossing,
    proxies: Sequence[Proxy],
    ledger: OwnerLedger,
    wishes: Wishes | None = None,
    checkpoint: Checkpoint = _nothing,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Cut over to the other side of the way; an Outcome says whether it was, and why not.

    Raises HandoverFault before anything is begun: the tables or proxies are not ready, somebody
    bypasses a proxy, or sides differ. Raises Unsettled when a database was lost in the middle: open
    the way and `resume`.
    """
    attempt = _Attempt(crossing, proxies, ledger, wishes or Wishes(), checkpoint, clock)
    if ledger.now.intent:
        raise HandoverRefused(f"a cut-over of {crossing.way.move} was begun: resume it first")
    attempt.refuse_another_owner()
    with proof.begin(crossing, attempt.wishes.hold_s) as proved:
        attempt.prepare(proved)
        return attempt.cut_over(proved)


def resume(
    crossing: Crossing,
    proxies: Sequence[Proxy],
    ledger: OwnerLedger,
    wishes: Wishes | None = None,
    checkpoint: Checkpoint = _nothing,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome | None:
    """Complete or undo what was begun before; None when nothing was. Safe to be killed in, too.

    To be called whenever a way is opened, before its tail is run. Raises HandoverFault when it
    cannot be settled now.
    """
    if not ledger.now.intent:
        return None
    attempt = _Attempt(crossing, proxies, ledger, wishes or Wishes(), checkpoint, clock)
    attempt.refuse_another_owner()
    attempt.holds = ledger.now.holds
    match attempt.next():
        case Next.COMPLETE:
            attempt.warnings += hold.serve(proxies, crossing.way.owner.other)
            checkpoint("served")
            attempt.open_target()  # what takes more than one statement may be half open
            return attempt.finish()
        case Next.DECIDE:
            if hold.serve(proxies, crossing.way.owner.other):
                return attempt.undo("a proxy did not confirm the flip")
            checkpoint("flipped")
            attempt.open_target()
            return attempt.finish()
    return attempt.undo("the mover ended before it was decided")


@dataclass(slots=True)
class _Attempt:
    """One cut-over under way; its methods are the steps."""

    crossing: Crossing
    proxies: Sequence[Proxy]
    ledger: OwnerLedger
    wishes: Wishes
    checkpoint: Checkpoint
    clock: Callable[[], float]
    holds: Holds = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    asked_at: float | None = None
    steps_s: dict[str, float] = field(default_factory=dict)
    proved: Proof | None = None
    watch: Watch | None = None
    shapes: Mapping[str, str] = field(default_factory=dict)
    applied_before: int = 0
    released_at: float = 0.0
    _last: float = field(init=False)

    def __post_init__(self) -> None:
        self._last = self.clock()

    def refuse_another_owner(self) -> None:
        """The way must begin where the ledger says that the tables are owned."""
        owner = self.ledger.now.owner
        if owner != self.crossing.way.owner:
            raise HandoverRefused(
                f"{self.crossing.way.move} is owned by the {owner} ({self.ledger.path}): turn the "
                "way round"
            )

    # --- while writes go on

    def prepare(self, proved: Proof) -> None:
        """All that can be done before the hold, and every reason not to begin."""
        way, self._last = self.crossing.way, self.clock()
        for proxy in self.proxies:
            proxy.prepare(way.owner.other)
        reverse.install(way)
        crossing = self.crossing
        reverse.refuse_unready(way, crossing.capture, crossing.source, crossing.target)
        self._ended("installed")
        proof.caught_up(self.crossing, self.wishes.small, self.wishes.catch_up_s, self.clock)
        self._ended("caught up")
        self.shapes = self._look()
        self._rehearse()
        if self.wishes.whole:
            proved.whole()
        proved.few()
        self._ended("proved")
        # Advancing a sequence may rebuild a table's header; under the hold it is only looked at.
        self._set_sequences(self.wishes.margin)
        self._ended("numbered ahead")
        self.checkpoint("prepared")

    def _rehearse(self) -> None:
        wishes = self.wishes
        if not wishes.rehearsal_s or wishes.despite_writers:
            return  # nobody is kept waiting for what would change nothing
        how = (wishes.writers, wishes.rehearsal_s, wishes.drain_s, self.clock)
        bypassing.refuse(bypassing.rehearse(self.crossing, self.proxies, *how), told=False)
        self._ended("rehearsed")

    # --- the moment in which writers wait

    def cut_over(self, proved: Proof) -> Outcome:
        """Everything from the intent to the record of how it ended."""
        self.ledger.record(OwnerKind.INTENDED, owner=str(self.crossing.way.owner))
        self.checkpoint("intended")
        self.proved, self.applied_before = proved, self.crossing.applied
        try:
            self._hold()
            self._raise_fence()
            self._refuse_bypassing()
            self._drain()
            proved.rest()
            self._ended("verified")
            self._number()
            self._decide()
            self._flip()
        except Exception as fault:  # noqa: BLE001 - whatever it was, everything goes back
            return self.undo(str(fault) or type(fault).__name__)
        self.open_target()
        return self.finish()

    def _hold(self) -> None:
        self.asked_at = self._last = self.clock()
        self.holds = hold.acquire(self.proxies, self.wishes.hold_s, self.wishes.drain_s)
        self.ledger.record(OwnerKind.HELD, sync=False, holds=dict(self.holds))
        self.watch = Watch(self.crossing)
        self._ended("held")

    def _raise_fence(self) -> None:
        seconds = fence_seconds(
            self.asked_at or 0.0, self.clock(), self.wishes.hold_s, self.wishes.skew_s
        )
        if seconds is None:
            raise _Late(f"the hold of {self.wishes.hold_s:g} s was used up by getting it")
        wait_s = min(self.wishes.writers_s, seconds)
        self.crossing.source_fence.raise_(self.crossing.source, seconds, wait_s)
        self._ended("fenced")

    def _refuse_bypassing(self) -> None:
        """What bypassed a proxy is carried over all the same; but it would have met the fence."""
        caught = self.watch.appeared() if self.watch else ()
        report = judge_caught(caught, self.wishes.writers, "before the fence was up")
        self.warnings += bypassing.refuse(report, self.wishes.despite_writers)

    def _drain(self) -> None:
        if not self.crossing.drain(self._late):
            raise _Late("the tail did not become empty while requests were held")
        self._ended("drained")

    def _number(self) -> None:
        self._in_time()
        self.warnings += self._set_sequences(0)
        self._ended("numbered")

    def _set_sequences(self, margin: int) -> tuple[str, ...]:
        crossing = self.crossing
        return tuple(
            sentence
            for pair in crossing.way.pairs
            for sentence in parts.number(pair, crossing.source, crossing.target, margin)
        )

    def _look(self) -> Mapping[str, str]:
        tables = [pair.source.table for pair in self.crossing.way.pairs]
        return fingerprint.of(self.crossing.source, tables)

    def _refuse_changed(self) -> None:
        """No fence stops an ALTER, nor MySQL's TRUNCATE, which capture does not see either."""
        now = self._look()
        changed = [table for table, shape in self.shapes.items() if now[table] != shape]
        if changed:
            raise HandoverRefused(
                f"altered, truncated or replaced while it was handed over: {', '.join(changed)}"
            )

    def _decide(self) -> None:
        self._refuse_changed()
        self._in_time()
        decided = self.crossing.source_fence.make_permanent(
            self.crossing.source, self._pending, max(0.05, self._left())
        )
        if not decided:
            raise _Late("the fence lapsed, or somebody wrote behind it, before it was decided")
        self._ended("decided")

    def _pending(self, session: Session) -> bool:
        return bool(self.crossing.capture.entries(session, 1))

    def _flip(self) -> None:
        hold.flip(self.proxies, self.holds)
        self._ended("flipped")

    # --- how it ends

    def open_target(self) -> None:
        """Let the new owner's tables take writes. From here on only forward."""
        try:
            self.crossing.target_fence.lift(self.crossing.target)
        except Exception as fault:
            # It may be open, or be opened yet by a statement that is still on its way.
            raise Unsettled(f"it is not known whether the target was opened: {fault}") from fault
        self._ended("opened")

    def finish(self) -> Outcome:
        """Send on what is held, and record the new owner."""
        owner = self.crossing.way.owner.other
        released = self._release()
        self._ended("released")
        self.ledger.record(OwnerKind.DONE, owner=str(owner))
        self._ended("recorded")
        return self._outcome(owner, None, released)

    def undo(self, reason: str) -> Outcome:
        """Serve by the owner, open its tables, send on what is held, and record that.

        Raises Unsettled when a database does not let it.
        """
        try:
            self.warnings += hold.serve(self.proxies, self.crossing.way.owner)
            self._ended("served back")
            self._lift()
        except Exception as fault:
            raise Unsettled(f"{reason}; it could not be undone yet: {fault}") from fault
        self._ended("lifted")
        released = self._release()
        self._ended("released back")
        self.ledger.record(OwnerKind.UNDONE, why=reason)
        self._ended("recorded back")
        return self._outcome(self.crossing.way.owner, reason, released)

    def next(self) -> Next:
        """What both fences say; HandoverRefused when one is not there any more."""
        crossing = self.crossing
        missing = (
            *crossing.source_fence.missing(crossing.source),
            *crossing.target_fence.missing(crossing.target),
        )
        if missing:
            raise HandoverRefused(
                f"{sentence}: how far it came cannot be known" for sentence in missing
            )
        return next_after_crash(
            self.ledger.now.intent,
            crossing.source_fence.state(crossing.source).standing,
            crossing.target_fence.state(crossing.target).standing,
        )

    def _lift(self) -> None:
        """One that never came up need not wait for those that kept it from coming up."""
        fence, source = self.crossing.source_fence, self.crossing.source
        if fence.state(source).standing != Standing.OPEN:
            fence.lift(source)

    def _release(self) -> Released:
        """No fault of a proxy stops it: a hold ends by itself."""
        released = hold.release(self.proxies, self.holds)
        self.released_at = self.clock()
        return released

    def _outcome(self, owner: Owner, reason: str | None, released: Released) -> Outcome:
        if released.broken and reason is None and self.asked_at is not None:
            self.warnings += (f"a hold did not last to the end: {released.broken}",)
        hold_s = 0.0 if self.asked_at is None else self.released_at - self.asked_at
        drained = self.crossing.applied - self.applied_before if self.proved else 0
        return Outcome(
            reason is None,
            owner,
            reason,
            dict(self.steps_s),
            hold_s,
            released.held,
            drained,
            self.proved.rows if self.proved else 0,
            self.warnings,
        )

    # --- time

    def _ended(self, step: str) -> None:
        now = self.clock()
        self.steps_s[step] = now - self._last
        self._last = now
        self.checkpoint(step)

    def _left(self) -> float:
        return time_left(self.asked_at or 0.0, self.clock(), self.wishes.hold_s)

    def _late(self) -> bool:
        return self._left() <= self.wishes.skew_s

    def _in_time(self) -> None:
        if self._late():
            raise _Late(f"the hold of {self.wishes.hold_s:g} s was nearly over")
