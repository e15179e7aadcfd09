"""Which messages have to wait because an earlier one of their key is waiting for another try.

Pure but for the clock given. RabbitMQ has no such order: a message that is tried again comes back
by way of a delay queue, and later ones would pass it meanwhile. So its consumer remembers, for as
long as it runs, what of a key is on such a way, and sends the later ones the same way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

log = logging.getLogger(__name__)

MAX_IDS = 10_000
# What is this late has been thrown away by somebody, and nobody waits for it any longer. Long, as
# what comes back stands behind all that has come to the queue meanwhile.
LATE_S = 3600.0


class Lanes:
    """For each key, the ids under way to be tried again, in order, and when each should be back."""

    def __init__(self, clock: Callable[[], float], max_ids: int = MAX_IDS) -> None:
        self._clock = clock
        self._max_ids = max_ids
        self._lanes: dict[str, dict[str, float]] = {}
        self._ids = 0

    def wait_s(self, key: str, message_id: str, delays_s: Sequence[float]) -> float | None:
        """The delay that this message must take because of an earlier one; None: it may be handled.

        It is the longest one after which the earlier message is not yet back, or else the shortest.
        """
        lane = self._lanes.get(key)
        if lane is None:
            return None
        first = self._first(key, lane)
        if first is None or first == message_id:
            return None
        if message_id not in lane and self._ids >= self._max_ids:
            log.warning("%s passes an earlier event of %s: too many are waiting", message_id, key)
            return None
        left_s = lane[first] - self._clock()
        fitting = [delay_s for delay_s in delays_s if delay_s <= left_s]
        return max(fitting, default=min(delays_s))

    def leaves(self, key: str, message_id: str, delay_s: float) -> None:
        """The message goes to be tried again; its place in the lane is kept, or is the last."""
        lane = self._lanes.setdefault(key, {})
        if message_id not in lane:
            self._ids += 1
        lane[message_id] = self._clock() + delay_s

    def ends(self, key: str, message_id: str) -> None:
        """The message is done or dead; those behind it may go on."""
        lane = self._lanes.get(key)
        if lane is not None and lane.pop(message_id, None) is not None:
            self._ids -= 1
            if not lane:
                del self._lanes[key]

    def _first(self, key: str, lane: dict[str, float]) -> str | None:
        now = self._clock()
        late = [each for each, back in lane.items() if back + LATE_S < now]
        for each in late:
            self.ends(key, each)
        return next(iter(lane), None)
