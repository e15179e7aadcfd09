"""What kinds of failures clients are told of, and which death excuses which. Pure.

A failure that no death at that time excuses is a violation: a hand-over itself is not to be seen.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from scripts.torturing.checker import Violation
from scripts.torturing.history import Operation, Outcome
from strangler_proxy.handover.databases.fences import about_to_move, has_moved
from strangler_proxy.handover.databases.port import TableName

_UP, _SHUT = (say("", TableName(None, "")).partition(" (")[0] for say in (about_to_move, has_moved))
_SHUT = _SHUT.partition(":")[0]
_WRONG = ("LookupError", "IntegrityError", "UniqueViolation")
_UNAVAILABLE = ("502", "503", "504")


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
    troubles: Sequence[Trouble], ends: Sequence[float], after_s: float
) -> Iterator[Trouble]:
    """The same, lasting until `after_s` behind the next time at which a cut-over has ended.

    On a machine that is busy a mover that is started again takes its time, and so do fences.
    """
    for trouble in troubles:
        settled = min((end for end in ends if end > trouble.ended), default=math.inf)
        yield replace(trouble, ended=settled + after_s)


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
