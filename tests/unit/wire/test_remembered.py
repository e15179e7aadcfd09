"""What clients send is remembered in bounded number and length, and forgotten to be found again."""

from __future__ import annotations

from strangler_proxy.wire.remembered import LONGEST_BYTES, remembered


class Asked:
    """Says how long something is, and notes that it was asked."""

    def __init__(self, most: int) -> None:
        self.asked: list[bytes] = []
        self.length = remembered(most)(self._length)

    def _length(self, of: bytes) -> int:
        self.asked.append(of)
        return len(of)


def test_same_bytes_are_asked_for_once() -> None:
    asked = Asked(10)
    assert [asked.length(of) for of in (b"a", b"bc", b"a", b"bc")] == [1, 2, 1, 2]
    assert asked.asked == [b"a", b"bc"]


def test_long_ones_are_not_kept() -> None:
    asked = Asked(10)
    long = b"x" * (LONGEST_BYTES + 1)
    assert [asked.length(of) for of in (long, long, long[1:], long[1:])] == [129, 129, 128, 128]
    assert asked.asked == [long, long, long[1:]]


def test_no_more_are_kept_than_allowed() -> None:
    asked = Asked(3)
    for _ in range(2):
        assert [asked.length(b"x" * size) for size in range(4)] == [0, 1, 2, 3]
    assert len(asked.asked) == 8  # the fourth put out the others, each time
    assert asked.length(b"x" * 3) == 3
    assert len(asked.asked) == 8
