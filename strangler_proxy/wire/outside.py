"""What a worker's data path has from outside: from its supervisor, its environment and the system.

Each has a stand-in, so that a data path also runs alone.
"""

import os
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from strangler_proxy.policies.board import Board


@dataclass(slots=True)
class Outside:
    """`refresh_keys(url)` has an issuer's keys fetched anew, and returns when they are installed.

    `wall` is the time of day in seconds, which tokens are judged by; `draw` gives random numbers
    from 0 to 1. `limits_fd`: memory in which all workers count; None: this one counts alone.
    """

    board: Board | None = None
    limits_fd: int | None = None
    refresh_keys: Callable[[str], Awaitable[None]] | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    wall: Callable[[], float] = time.time
    draw: Callable[[], float] = random.random
