"""What the services have not finished: events that wait in an outbox, and what commands tell.

Opens nothing by itself; whatever cannot be learned counts as left.
"""

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

from scripts.carving import ROOT, is_mongodb, python
from strangler_proxy.steps.gates.health import Checkup

LOOK_S = 30.0


def unsent(database: str) -> Checkup:
    """Asks a service's outbox whether anything waits to be sent."""
    command = python("extracted.chassis.relay", "--status", "--json")
    if is_mongodb(database):
        command = python("extracted.posts.mongodb.backlog", "--json")

    def left(told: Any) -> str | None:
        events = told["events"]
        return f"{events} wait to be sent" if events else None

    return asked(command, left, {"DATABASE_URL": database})


def asked(
    command: tuple[str, ...],
    left: Callable[[Any], str | None],
    environment: Mapping[str, str] | None = None,
    within_s: float = LOOK_S,
) -> Checkup:
    """Asks a command that tells in JSON how things are; `left` sees in it what is left to be done.

    One that tells nothing within `within_s` leaves that in the open, and so something is left.
    """

    def check() -> str | None:
        try:
            ended = subprocess.run(
                command,
                cwd=ROOT,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=within_s,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as fault:
            return str(fault)
        if ended.returncode != 0:
            return ended.stderr.strip() or f"it is not told by {' '.join(command)}"
        return left(json.loads(ended.stdout))

    return check
