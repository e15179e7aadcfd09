"""How often a caller may ask: counts, and what follows from them.

The algorithm is the sliding window counter of `limits` (windows of fixed length; the window before
counts by the share of it that is still within one window's length of now). Its bounds, for a limit
of `amount` per window: `amount` in a window, twice `amount` in any span as long as a window, and
never more than `amount` at any moment by the weighted count. A refused request is not counted.

Counts live in memory that all workers of a proxy share, or in Redis that several machines share.
"""

from strangler_proxy.policies.rate_limit.limiter import RateLimiter
from strangler_proxy.policies.rate_limit.shared_memory import shared_bytes
from strangler_proxy.policies.rate_limit.unusable import StoreUnusable
from strangler_proxy.policies.rate_limit.verdict import Verdict

__all__ = ["RateLimiter", "StoreUnusable", "Verdict", "shared_bytes"]
