"""What a client is told of its limits. Pure.

The header fields are those of draft-ietf-httpapi-ratelimit-headers-03, as Kong and Envoy send
them; times are seconds from now. RateLimit-Reset is the end of the current window for a request
that is allowed, and the same as Retry-After for one that is refused: asked then, it is allowed,
unless others ask meanwhile.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from strangler_proxy.policies.rate_limit.window import SECOND_US, Window, used, wait_us


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request may pass, and what its answer says of it.

    `headers`: ready lines, each with its line end. `retry_after_s`: whole seconds, at least 1, of a
    request that may not pass. `unavailable`: not refused, but nobody can count (503, not 429).
    """

    allowed: bool
    headers: bytes
    retry_after_s: int | None
    unavailable: bool = False


UNLIMITED = Verdict(allowed=True, headers=b"", retry_after_s=None)
UNAVAILABLE = Verdict(allowed=False, headers=b"", retry_after_s=1, unavailable=True)


def judge(amounts: Sequence[int], windows: Sequence[Window]) -> Verdict:
    """Allow the request if every limit has room; `windows` are as they were before it.

    The headers tell the limit that is refused longest, or else the one with the smallest share
    left.
    """
    taken = [used(window) + 1 for window in windows]  # with this request
    tightest = 0
    for index in range(1, len(taken)):
        # Shares of different limits, compared without dividing.
        if taken[index] * amounts[tightest] > taken[tightest] * amounts[index]:
            tightest = index
    amount = amounts[tightest]
    # Only a limit without room is taken by more than the whole, so the tightest is such a one.
    if taken[tightest] > amount:
        return _refusal(amounts, windows)
    headers = _lines(amount, amount - taken[tightest], _seconds(windows[tightest].left_us))
    return Verdict(True, headers, None)


def refusal(amount: int, wait: int) -> Verdict:
    """The verdict on a request that this limit refuses; `wait`: microseconds until it has room."""
    retry_after_s = _seconds(wait)
    return Verdict(False, _lines(amount, 0, retry_after_s), retry_after_s)


def _refusal(amounts: Sequence[int], windows: Sequence[Window]) -> Verdict:
    waits = [wait_us(window, amount) for amount, window in zip(amounts, windows, strict=True)]
    longest = max(range(len(waits)), key=waits.__getitem__)
    return refusal(amounts[longest], waits[longest])


def _lines(amount: int, remaining: int, reset_s: int) -> bytes:
    return b"RateLimit-Limit: %d\r\nRateLimit-Remaining: %d\r\nRateLimit-Reset: %d\r\n" % (
        amount,
        remaining,
        reset_s,
    )


def _seconds(wait: int) -> int:
    # The next whole second even when this is one: the clock that decides then is rounded too.
    return wait // SECOND_US + 1
