"""Whether a request that was not answered is sent again, and after what pause. Pure.

Nothing that may have been carried out is repeated unless repeating it changes nothing
(RFC 9110 §9.2.2).
"""

from strangler_proxy.config import Retry

# What became of a try; plain integers.
NOT_SENT, UNHEARD, ANSWERED = range(3)
# NOT_SENT: no connection could be opened. UNHEARD: the connection ended before a byte of an answer.
# ANSWERED: with a status that stands for a failure.

ELSEWHERE_TRIES = 3
LEAST_RETRIES = 3


def pause_s(
    outcome: int,
    *,
    repeatable: bool,
    tries: int,
    elsewhere: bool,
    retry: Retry | None,
    drawn: float,
) -> float | None:
    """The pause before the next try in seconds, None when there is none.

    `repeatable`: the method is idempotent and what was sent of the request is still here;
    `tries`: how often it was tried before this one; `elsewhere`: another address could be asked;
    `drawn`: a random number from 0 to 1, so that many who failed together do not return together.
    """
    if outcome == NOT_SENT:
        if elsewhere and tries < ELSEWHERE_TRIES:
            return 0.0
    elif not repeatable:
        return None
    elif outcome == UNHEARD and tries == 0:
        # A server may close a kept connection just as it is used: that is no failure of its.
        return 0.0
    if retry is None or tries >= retry.most:
        return None
    longest = min(retry.longest_s, retry.backoff_s * float(1 << tries))
    return drawn * longest


def within_budget(retrying: int, in_flight: int, percent: int) -> bool:
    """Whether one more retry may be under way: retries must not become the load (as in Envoy)."""
    return retrying < max(LEAST_RETRIES, in_flight * percent // 100)
