"""Whether what both sides hold at the end, and each answer, can be true. Pure.

The model is a register for each word, written by one client at a time, and a log that only grows.
An operation whose outcome is unknown may have been carried out or not, once; it is its word's last.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from scripts.torturing.history import Kind, Operation, Outcome

ABSENT = None
Value = int | None


@dataclass(frozen=True, slots=True)
class Contents:
    """One side's tables at the end: each word's value, and how often each mark is in the log."""

    name: str
    items: Mapping[str, int]
    log: Counter[str]


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that cannot be: the word that it is about, and a sentence."""

    word: str
    sentence: str


def check(operations: Sequence[Operation], sides: Sequence[Contents]) -> list[Violation]:
    """Every violation found; `operations` in the order in which they began."""
    words: dict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        words[operation.word].append(operation)
    found = [violation for side in sides for violation in _side(words, side)]
    found += [violation for each in words.values() for violation in _answers(each)]
    return found + list(_apart(sides, {operation.mark: operation.word for operation in operations}))


def _side(words: Mapping[str, list[Operation]], side: Contents) -> Iterator[Violation]:
    for word, operations in words.items():
        allowed, now = _last(operations), side.items.get(word, ABSENT)
        if now not in allowed:
            told = " or ".join(_shown(value) for value in allowed)
            yield Violation(word, f"{side.name} has {_shown(now)}; it must have {told}")
        yield from _marks(word, operations, side)
    for word in side.items.keys() - words.keys():
        yield Violation(word, f"{side.name} has a row that nobody has written")
    known = {operation.mark for each in words.values() for operation in each}
    for mark in side.log.keys() - known:
        yield Violation("", f"{side.name} has {mark} in its log, which nobody has written")


def _marks(word: str, operations: Iterable[Operation], side: Contents) -> Iterator[Violation]:
    for operation in operations:
        if operation.kind == Kind.READ:
            continue
        times, told = side.log[operation.mark], f"{operation.kind} {operation.mark}"
        if times > 1:
            yield Violation(word, f"{side.name} has carried out {told} {times} times")
        if operation.outcome == Outcome.OK and not times:
            yield Violation(word, f"{side.name} has lost {told}, which was acknowledged")
        if operation.outcome == Outcome.REFUSED and times:
            yield Violation(word, f"{side.name} has carried out {told}, which was refused")


def _last(operations: Iterable[Operation]) -> list[Value]:
    """What may be there in the end."""
    allowed: list[Value] = [ABSENT]
    for operation in operations:
        if operation.kind != Kind.READ:
            allowed = _after(allowed, operation)
    return allowed


def _after(allowed: list[Value], operation: Operation) -> list[Value]:
    written = ABSENT if operation.kind == Kind.DELETE else operation.value
    match operation.outcome:
        case Outcome.OK:
            return [written]
        case Outcome.UNKNOWN:
            return [*allowed, written]
    return allowed


def _answers(operations: Sequence[Operation]) -> Iterator[Violation]:
    """Each read against what its word may have been while it lasted."""
    writes = [each for each in operations if each.kind != Kind.READ]
    for read in operations:
        if read.kind != Kind.READ or read.outcome != Outcome.OK:
            continue
        allowed = _during(writes, read)
        if read.value not in allowed:
            told = " or ".join(_shown(value) for value in allowed)
            yield Violation(
                read.word, f"{read.client} was told {_shown(read.value)}; it was {told} then"
            )


def _during(writes: Iterable[Operation], read: Operation) -> list[Value]:
    """The last value acknowledged before the read, and all that may have replaced it."""
    allowed: list[Value] = [ABSENT]
    for write in writes:
        if write.began > read.ended:
            break
        before = write.ended <= read.began and write.outcome != Outcome.UNKNOWN
        after = _after(allowed, write)
        allowed = after if before else [*allowed, *after]
    return allowed


def _apart(sides: Sequence[Contents], word_of: Mapping[str, str]) -> Iterator[Violation]:
    for other in sides[1:]:
        first = sides[0]
        for word in first.items.keys() | other.items.keys():
            here, there = first.items.get(word, ABSENT), other.items.get(word, ABSENT)
            if here != there:
                yield Violation(
                    word, f"{first.name} has {_shown(here)}, {other.name} has {_shown(there)}"
                )
        for mark in (first.log - other.log) | (other.log - first.log):
            told = f"{mark} is not as often in {first.name} as in {other.name}"
            yield Violation(word_of.get(mark, ""), told)


def _shown(value: Value) -> str:
    return "no row" if value is ABSENT else str(value)
