"""Times and shares as figures. Opens nothing and reads no clock."""

import math
from collections.abc import Iterable


def percentile(values: Iterable[float], percent: float) -> float:
    """The smallest value that so many percent are not above (nearest rank).

    Raises ValueError when there are no values.
    """
    ordered = sorted(values)
    if not ordered:
        raise ValueError("a percentile of nothing was asked for")
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def share(part: int, whole: int) -> float:
    """Percent of a whole, 0.0 when there is none."""
    return round(100 * part / whole, 1) if whole else 0.0
