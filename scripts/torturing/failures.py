"""What kinds of failures clients are told of, and which death excuses which. Pure.

A failure that no death at that time excuses is a violation: a hand-over itself is not to be seen.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from scripts.torturing.checker import Violation
from scripts.torturing.history import Operation, Outcome
from strangler_proxy.handover.databases.fences import about_to_move, has_moved
from strangler_proxy.handover.databases.port import TableName

_UP, _SHUT = (say("", TableName(None, "")).partition(" (")[0] for say in (about_to_move, has_moved))
_SHUT = _SHUT.partition(":")[0]
_WRONG = ("LookupError", "IntegrityError", "UniqueViolation")
_UNAVAILABLE = ("502", "503", "504")
RUN_OUT = "a hold ran out"


class Failure(StrEnum):
    """What a client was told."""

    BROKEN = "a broken connection"
    UNAVAILABLE = "the proxy had no answer of a service"
    DATABASE = "the database did not answer"
    UP = "a fence that is up"
    SHUT = "a fence that is shut"
    WRONG = "a row that is not as it must be"


@dataclass(frozen=True, slots=True)
class Trouble:
    """A time in which something was dead, and the failures that this excuses."""

    began: float
    ended: float
    what: str
    excuses: frozenset[Failure]
    ordered: bool = False
    """Whether it was only told then to come about; see `until_settled`."""


def failure(operation: Operation) -> Failure:
    """What kind it is of; `operation` has not ended well."""
    told = operation.told
    if _UP in told:
        return Failure.UP
    if _SHUT in told:
        return Failure.SHUT
    if any(name in told for name in _WRONG):
        return Failure.WRONG
    if operation.client.startswith("bypass") or told.startswith(("409", "500")):
        return Failure.DATABASE
    return Failure.UNAVAILABLE if told.startswith(_UNAVAILABLE) else Failure.BROKEN


def until_settled(
    troubles: Sequence[Trouble], outcomes: Sequence[Mapping[str, Any]], after_s: float
) -> Iterator[Trouble]:
    """Each that came about, until `after_s` behind the next time at which a cut-over has ended.

    On a machine that is busy a mover that is started again takes its time, and so do fences. A
    mover that was told behind which step to die is dead from then on, and not before: `outcomes`
    has when. One that never came to that step has died of nothing.
    """
    killed = [each["at"] for each in outcomes if each["event"] == "killed"]
    ends = [each["at"] for each in outcomes if each["event"] in ("ended", "resumed")]
    for trouble in troubles:
        died = _next(killed, trouble.began) if trouble.ordered else trouble.began
        if died < math.inf:
            settled = _next(ends, max(died, trouble.ended))
            yield replace(trouble, began=died, ended=settled + after_s)


def _next(times: Sequence[float], after: float) -> float:
    return min((time for time in times if time > after), default=math.inf)


def run_out(
    outcomes: Sequence[Mapping[str, Any]], hold_s: float, after_s: float
) -> Iterator[Trouble]:
    """Each cut-over that outlasted its hold of `hold_s`, as it may where a machine is too busy.

    It is promised that no client sees a cut-over unless a hold runs out between the decision and
    the opening: who comes then is refused by the fence, and by nothing else.
    """
    for each in outcomes:
        if each["event"] == "ended" and each["hold_s"] >= hold_s:
            began, ended = each["at"] - each["hold_s"], each["at"] + after_s
            yield Trouble(began, ended, RUN_OUT, frozenset({Failure.SHUT}))


def unexcused(operations: Sequence[Operation], troubles: Sequence[Trouble]) -> Iterator[Violation]:
    """A violation for each that failed with nothing that excuses it.

    Who bypasses the proxy is always told by a fence.
    """
    for operation in operations:
        if operation.outcome == Outcome.OK:
            continue
        bypassing, kind = operation.client.startswith("bypass"), failure(operation)
        if bypassing and (kind in (Failure.UP, Failure.SHUT) or not operation.told):
            continue  # refused as it should be, or killed before it was told
        if not any(_excuses(trouble, operation, kind) for trouble in troubles):
            yield Violation(
                operation.word,
                f"{operation.client} was told {operation.told!r} of {operation.kind} "
                f"{operation.mark}: {kind}, and nothing that had died excuses it",
            )


def _excuses(trouble: Trouble, operation: Operation, kind: Failure) -> bool:
    together = trouble.began <= operation.ended and operation.began <= trouble.ended
    return together and kind in trouble.excuses
