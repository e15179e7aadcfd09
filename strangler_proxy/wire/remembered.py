"""What is found out about a client's bytes, remembered within bounds. Pure.

functools.lru_cache bounds how many answers are kept, not how long the questions are: a few thousand
of 32 KB each, each asked once, would fill the memory for nothing.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

Found = TypeVar("Found")
LONGEST_BYTES = 128


class _Remembered(dict[bytes, Found], Generic[Found]):
    def __init__(self, find: Callable[[bytes], Found], most: int) -> None:
        self._find, self._most = find, most

    def __missing__(self, asked: bytes) -> Found:
        found = self._find(asked)
        if len(asked) <= LONGEST_BYTES:
            if len(self) >= self._most:
                self.clear()  # what is asked often is soon here again
            self[asked] = found
        return found


def remembered(
    most: int,
) -> Callable[[Callable[[bytes], Found]], Callable[[bytes], Found]]:
    """Have a function of bytes asked once for the same; `most`: so many are kept, if short."""
    return lambda find: _Remembered(find, most).__getitem__
