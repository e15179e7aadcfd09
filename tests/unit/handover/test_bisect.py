from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from strangler_proxy.handover.databases.port import Row
from strangler_proxy.handover.verify.bisect import (
    BUCKETS,
    Found,
    Part,
    Reader,
    Sizes,
    Sum,
    Suspect,
    steps,
)

SMALL = Sizes(chunk_rows=16, leaf_rows=3, held_rows=6)


@dataclass
class Rows:
    """A side held in memory: keys and digests."""

    rows: Mapping[Row, int]
    most_held: int = 0
    parts: list[Part] = field(default_factory=list)

    def total(self, part: Part) -> Sum:
        self.parts.append(part)
        found = self._of(part)
        return Sum(len(found), sum(found.values()))

    def cut(self, part: Part, rows: int) -> Any:
        firsts = sorted(key[0] for key in self._of(part) if part.low is None or key[0] > part.low)
        return firsts[rows] if len(firsts) > rows else None

    def by_bucket(self, part: Part) -> Mapping[int, Sum]:
        sums: dict[int, Sum] = {}
        for key, digest in self._of(part).items():
            before = sums.get(_bucket(key), Sum(0, 0))
            sums[_bucket(key)] = Sum(before.rows + 1, before.digest + digest)
        return sums

    def found(self, part: Part) -> Mapping[Row, Found]:
        found = {key: Found(digest, ("raw", *key)) for key, digest in self._of(part).items()}
        self.most_held = max(self.most_held, len(found))
        return found

    def _of(self, part: Part) -> dict[Row, int]:
        return {
            key: digest
            for key, digest in self.rows.items()
            if (part.low is None or key[0] >= part.low)
            and (part.high is None or key[0] < part.high)
            and (part.buckets is None or _bucket(key) in part.buckets)
        }


def _bucket(key: Row) -> int:
    return int.from_bytes(hashlib.md5(repr(key).encode()).digest()[:8], "big") % BUCKETS


class Both:
    """Asks one after the other; what the order is does not matter."""

    def __init__(self, source: Mapping[Row, int], target: Mapping[Row, int]) -> None:
        self.sides = Rows(source), Rows(target)

    def both(self, question: Callable[[Reader], Any]) -> tuple[Any, Any]:
        return question(self.sides[0]), question(self.sides[1])

    def one(self, side: int, question: Callable[[Reader], Any]) -> Any:
        return question(self.sides[side])


def _unlike(source: Mapping[Row, int], target: Mapping[Row, int]) -> set[Row]:
    return {key for key in source.keys() | target.keys() if source.get(key) != target.get(key)}


KEYS = st.tuples(st.integers(0, 30), st.integers(0, 20))
SIDE = st.dictionaries(KEYS, st.integers(0, 3), max_size=120)


@example(source={(1, second): 0 for second in range(50)}, target={(1, 60): 0}, cutter=0)
@given(source=SIDE, target=SIDE, cutter=st.sampled_from([0, 1]))
@pytest.mark.parametrize("ordered", [True, False])
def test_exactly_the_rows_that_differ_are_found_once(
    ordered: bool, source: dict[Row, int], target: dict[Row, int], cutter: int
) -> None:
    source, target = (
        {key: _digest((key, value)) for key, value in side.items()} for side in (source, target)
    )
    found = list(steps(Both(source, target), ordered, cutter, SMALL))
    keys = [each.key for step in found for each in step.suspects]
    assert len(keys) == len(set(keys))
    assert set(keys) == _unlike(source, target)
    assert sum(step.source_rows for step in found) == len(source)


@given(changed=st.sets(st.integers(0, 999), max_size=30), ordered=st.booleans())
def test_every_row_changed_missing_or_extra_is_found(changed: set[int], ordered: bool) -> None:
    source = {(number,): _digest(number) for number in range(1000)}
    target = dict(source)
    for number in changed:
        if number % 3 == 0:
            del target[(number,)]
        elif number % 3 == 1:
            target[(number,)] += 1
        else:
            target[(number + 5000,)] = _digest(number)
    found = list(steps(Both(source, target), ordered, 0, SMALL))
    keys = {each.key for step in found for each in step.suspects}
    assert keys == _unlike(source, target)


def _digest(row: Any) -> int:
    return int.from_bytes(hashlib.md5(repr(row).encode()).digest()[:8], "big")


def test_a_suspect_names_its_row_as_each_side_spells_it() -> None:
    both = Both({(1,): 5, (2,): 6}, {(2,): 7, (3,): 8})
    suspects = [each for step in steps(both, True, 0, SMALL) for each in step.suspects]
    assert sorted(suspects) == [
        Suspect((1,), (("raw", 1), None)),
        Suspect((2,), (("raw", 2), ("raw", 2))),
        Suspect((3,), (None, ("raw", 3))),
    ]


def test_rows_are_read_in_small_numbers_however_the_keys_lie() -> None:
    # One tenant with many rows between tenants with few: no range of the first column is small.
    source = {(tenant, number): _digest(number) for tenant in (1, 3) for number in range(2)}
    source |= {(2, number): _digest(number) for number in range(2000)}
    target = {**source, (2, 77): 1}
    both = Both(source, target)
    found = [each.key for step in steps(both, True, 0, SMALL) for each in step.suspects]
    assert found == [(2, 77)]
    assert both.sides[0].most_held <= SMALL.held_rows


def test_a_table_that_is_empty_at_one_side_is_read_piece_by_piece() -> None:
    source = {(number,): _digest(number) for number in range(500)}
    for sides in ((source, {}), ({}, source)):
        for ordered in (True, False):
            both = Both(*sides)
            found = [each.key for step in steps(both, ordered, 0, SMALL) for each in step.suspects]
            assert sorted(found) == sorted(source)
            assert both.sides[sides.index(source)].most_held <= SMALL.held_rows


def test_ranges_leave_no_gap_and_no_row_is_summed_twice_at_first() -> None:
    source = {(number,): _digest(number) for number in range(100)}
    both = Both(source, dict(source))
    list(steps(both, True, 0, SMALL))
    parts = both.sides[0].parts
    assert parts[0].low is None
    assert parts[-1].high is None
    assert all(one.high == other.low for one, other in pairwise(parts))


def test_sides_that_agree_are_summed_once_and_no_row_is_read() -> None:
    source = {(number,): _digest(number) for number in range(100)}
    for ordered in (True, False):
        both = Both(source, dict(source))
        assert not [each for step in steps(both, ordered, 1, SMALL) for each in step.suspects]
        assert both.sides[0].most_held == both.sides[1].most_held == 0


def test_a_cut_that_does_not_advance_is_an_error() -> None:
    class Stuck(Rows):
        def cut(self, part: Part, rows: int) -> Any:
            return 5

    both = Both({}, {})
    both.sides = Stuck({}), Stuck({})
    with pytest.raises(RuntimeError, match="does not advance"):
        list(steps(both, True, 0, SMALL))
