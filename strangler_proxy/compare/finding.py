"""What a comparison has to say: one finding for each difference, and what kind it is."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

SHOWN_CHARACTERS = 60


class Kind(StrEnum):
    """What a difference means to whoever decides on the strength of it."""

    REAL = "real"
    NOISE = "noise"
    STALE = "stale"
    NOT_COMPARABLE = "not comparable"


class NotComparable(ValueError):
    """A body comparator cannot judge these bodies; the message says why."""


class _Absent:
    """Stands for a value that one side does not have, which JSON's null is not."""

    def __repr__(self) -> str:
        return "absent"


ABSENT = _Absent()


@dataclass(frozen=True, slots=True)
class Difference:
    """A place where two bodies differ, before anyone has judged what it means."""

    where: str
    control: object
    candidate: object


@dataclass(frozen=True, slots=True)
class Finding:
    """One judged difference between the control's answer and the candidate's.

    `where` is `status`, `header NAME`, `body`, `pixels` or a JSON path such as `$.posts[0].id`.
    `rule` names the rule that explains the difference, or that could not be applied.
    """

    where: str
    control: object
    candidate: object
    kind: Kind = Kind.REAL
    rule: str | None = None

    def __str__(self) -> str:
        why = f" [{self.rule}]" if self.rule else ""
        values = f"control {shown(self.control)}, candidate {shown(self.candidate)}"
        return f"{self.kind} difference at {self.where}: {values}{why}"


def unexplained(findings: Iterable[Finding]) -> list[Finding]:
    """The findings that speak against the candidate: those that are neither noise nor stale."""
    return [f for f in findings if f.kind in (Kind.REAL, Kind.NOT_COMPARABLE)]


def shown(value: object) -> str:
    """The value on one line, cut to a length that people read; its full size is said when cut."""
    if isinstance(value, bytes):
        text = repr(value[:SHOWN_CHARACTERS])[1:]
        return text if len(value) <= SHOWN_CHARACTERS else f"{text}... ({len(value)} bytes)"
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = repr(value)
    if len(text) <= SHOWN_CHARACTERS:
        return text
    return f"{text[:SHOWN_CHARACTERS]}... ({len(text)} characters)"
