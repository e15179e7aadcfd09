"""Confidence bounds on failure ratios and on p99, all one-sided at 95 %. Pure arithmetic.

Ratios: Wilson 1927 for one; for a difference Newcombe's hybrid of two Wilson bounds (Newcombe
1998, Statistics in Medicine 17:873, method 10), sane at zero failures and in small samples.
Quantiles: order statistics, whose rank is binomial (Conover, Practical Nonparametric Statistics,
section 3.2), so that nothing is assumed about how latencies are distributed.
"""

from math import ceil, sqrt

Z_95 = 1.6449
"""One-sided 95 % of the normal distribution."""

FEWEST_BAD = 3
"""No fewer failed or slow requests than this make a gate fail."""


def wilson(failures: int, requests: int) -> tuple[float, float]:
    """Lower and upper one-sided 95 % bounds of a failure ratio; (0, 1) without any requests."""
    if requests == 0:
        return 0.0, 1.0
    z2, ratio = Z_95**2, failures / requests
    middle = ratio + z2 / (2 * requests)
    spread = Z_95 * sqrt(ratio * (1 - ratio) / requests + z2 / (4 * requests**2))
    scale = 1 + z2 / requests
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def difference(
    candidate_failures: int, candidate_requests: int, control_failures: int, control_requests: int
) -> tuple[float, float]:
    """Bounds of the candidate's failure ratio minus the control's; (-1, 1) with a side unseen."""
    if candidate_requests == 0 or control_requests == 0:
        return -1.0, 1.0
    p, q = candidate_failures / candidate_requests, control_failures / control_requests
    p_low, p_high = wilson(candidate_failures, candidate_requests)
    q_low, q_high = wilson(control_failures, control_requests)
    low = p - q - sqrt((p - p_low) ** 2 + (q_high - q) ** 2)
    high = p - q + sqrt((p_high - p) ** 2 + (q - q_low) ** 2)
    return low, high


def clean_requests_for(extra: float) -> int:
    """How many candidate requests without a failure prove at most `extra`, the control clean."""
    return ceil(Z_95**2 * (1 - extra) / extra) if extra > 0 else 0


def p99_bound_rank(n: int) -> int:
    """Which of n latencies in rising order the true p99 is not below, at 95 %; 1 at least.

    With k slower ones left out, the chance that more than k of n are beyond the true p99 is at
    most 5 %. Exact for up to 10,000 requests, by the normal approximation beyond.
    """
    if n > 10_000:
        k = ceil(0.01 * n + Z_95 * sqrt(n * 0.01 * 0.99))
    else:
        k, term = 0, 0.99**n
        total = term
        while total < 0.95 and k < n:
            k += 1
            term *= (n - k + 1) / k * (0.01 / 0.99)
            total += term
    return max(1, n - max(k, FEWEST_BAD - 1))
