"""What a walk is asked for."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Plan:
    """What to walk: seconds of measured traffic, half of them on each side of the first step.

    `steps` are the names of the steps, in order. With `undo` all are undone in the end, the last
    first; with `undo_each` every step is undone and done again before the next. `real`: on
    PostgreSQL, MariaDB and RabbitMQ instead of files. `kill`: then one part after the other.
    """

    seconds: float
    seed: int
    folder: Path
    undo: bool
    uploaders: int
    steps: tuple[str, ...] = ("image",)
    undo_each: bool = False
    real: bool = False
    kill: bool = False
