"""The arithmetic of the sliding window counter, in whole microseconds. Pure.

The same as `limits` computes (SlidingWindowCounterRateLimiter), in integers instead of floats, so
that "refused now, allowed in 7 s" is exact.
"""

from typing import NamedTuple

SECOND_US = 1_000_000


class Window(NamedTuple):
    """What was counted of one caller, as seen at one moment.

    `left_us`: until the current window ends; `previous`, `current`: requests allowed in each.
    """

    previous: int
    current: int
    left_us: int
    window_us: int


def used(window: Window) -> int:
    """How much of the limit is taken: the window before by its share, the current one whole.

    Falls with time and never rises by itself; at the end of a window it does not jump.
    """
    return window.previous * window.left_us // window.window_us + window.current


def wait_us(window: Window, amount: int) -> int:
    """The least time after which one more is within `amount`, if nobody asks meanwhile.

    0 when one more is within it now.
    """
    if used(window) < amount:
        return 0
    if window.current >= amount:
        return window.left_us + _fall_us(window.current, window.window_us, amount, window.window_us)
    room = amount - window.current
    return _fall_us(window.previous, window.left_us, room, window.window_us)


def _fall_us(count: int, left_us: int, room: int, window_us: int) -> int:
    """The least t with count * (left_us - t) // window_us < room."""
    return left_us - (room * window_us - 1) // count
