#!/bin/sh
"""exec" "$(dirname "$0")/lib/python" "$0" "$@"

Step 5: the monolith retires. The line above is for the shell, which reads it as a command: it makes
the project's environment, and runs this file in it. Python takes it for the docstring that it is.
Importing this module does nothing.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from scripts import carving, moving
from scripts.carving import ROOT, python
from strangler_proxy.config import load
from strangler_proxy.steps import Stage, Step
from strangler_proxy.steps.gates import Health, NothingReaches, RowsAlike
from strangler_proxy.steps.gates.health import Checkup
from strangler_proxy.steps.options import count, option, positive
from strangler_proxy.steps.parts import LeadDefault, RetireMove
from strangler_proxy.steps.proxy import Proxy
from strangler_proxy.steps.script import Script, Site, run_step_script

MONOLITH, REST = "monolith", "posts"
MOVES = ("auth", "posts", "payment")
QUEUES = ("mail", "posts")
WEEK_S = 7 * 24 * 3600.0

EXAMPLES = """\
  scripts/step_5_retire.py                      the plan: what is proved, and what goes for good
  scripts/step_5_retire.py --execute            watch for a week, then leave the old tables behind
  scripts/step_5_retire.py --execute --watch-s 10 --min-requests 50    for a rehearsal
  scripts/step_5_retire.py --status             where it stands

when it is done, these are needed by nobody any more:
  the monolith's process and its image; monolith/ and migrations/monolith/; tests/**/monolith/
  the tables users, posts, comments and payments of DATABASE_URL, if they were not dropped
  SEAMS_FILE, SMTP_URL and MAIL_FROM of the monolith, AUTH_JWKS_URL
  the upstream `monolith` and `control:` of every route in strangler.yaml
  JWT_SECRET, once the last token that the monolith has signed is over (a day)"""


def _yes(text: str) -> bool:
    if text not in {"yes", "no"}:
        raise ValueError(f"{text!r} is neither yes nor no")
    return text == "yes"


@dataclass(frozen=True)
class Options:
    """What a team may set; the defaults are for production."""

    watch_s: float = option(
        WEEK_S, "seconds in which nothing may reach the monolith", parse=positive
    )
    patience_s: float = option(
        3600.0, "seconds that a gate may wait for evidence before the step stops", parse=positive
    )
    min_requests: int = option(1000, "requests that must be seen meanwhile", parse=count)
    drop_tables: bool = option(False, "yes: drop the old tables, with all their rows", parse=_yes)


def declare(options: Options, site: Site) -> Step:
    """The last step as it runs on this site. Opens nothing. Raises StepError."""
    proxy = Proxy(site.config_path)
    carving.upstream(site, MONOLITH)
    carving.upstream(site, REST)
    moves = [moving.move_of(name, site) for name in MOVES]
    quiet = NothingReaches(
        MONOLITH,
        options.watch_s,
        options.min_requests,
        proxy.counts,
        patience_s=options.watch_s + options.patience_s,
        interval_s=min(1.0, options.watch_s / 10),
    )
    return Step(
        "retire",
        "Step 5: nothing reaches the monolith any more, and its tables are left behind",
        (
            Stage("routes", None, (Health("strangler.yaml", _led(site), times=1, name="routes"),)),
            Stage("rest", LeadDefault(REST, proxy), (quiet,)),
            *(Stage(f"{move.name} rows", None, (RowsAlike(move),)) for move in moves),
            Stage("events", None, tuple(_events())),
            *(Stage(move.name, RetireMove(move, options.drop_tables)) for move in moves),
        ),
    )


def _led(site: Site) -> Checkup:
    """Asks strangler.yaml whether a route leads to the monolith still."""

    def left() -> str | None:
        routes = [
            route.name
            for route in load(site.config_path).routes
            if route.compose is None
            and route.control == MONOLITH
            and (route.candidate is None or route.serve.candidate_percent < 100)
        ]
        return f"these lead to the monolith: {', '.join(routes)}" if routes else None

    return left


def _events() -> Iterator[Health]:
    """Nothing waits to be sent, and nothing was put aside."""
    for name in MOVES:
        database = carving.variable(f"{name.upper()}_DATABASE_URL", moving.SET_BY_UP)
        left = moving.unsent(database)
        yield Health(f"the outbox of {name}", left, times=1, name=f"outbox of {name}")
    for queue in QUEUES:
        yield Health(f"the queue {queue}", _dead(queue), times=1, name=f"dead letters of {queue}")


def _dead(queue: str) -> Checkup:
    """Asks for the dead letters of a queue."""

    def left() -> str | None:
        asked = subprocess.run(
            python("extracted.chassis.events", "dead", "list", "--queue", queue, "--json"),
            cwd=ROOT,
            env=os.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=moving.LOOK_S,
            check=False,
        )
        if asked.returncode != 0:
            return asked.stderr.strip() or f"the dead letters of {queue} cannot be read"
        letters = json.loads(asked.stdout)
        return f"{len(letters)} dead letters: replay or discard them first" if letters else None

    return left


SCRIPT = Script(
    "retire",
    "Prove that nothing reaches the monolith, and leave its tables behind for good.",
    EXAMPLES,
    Options,
    declare,
)

if __name__ == "__main__":
    run_step_script(SCRIPT)
