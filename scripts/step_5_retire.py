#!/bin/sh
"""exec" "$(dirname "$0")/lib/python" "$0" "$@"

Step 5: the monolith retires. The line above is for the shell, which reads it as a command: it makes
the project's environment, and runs this file in it. Python takes it for the docstring that it is.
Importing this module does nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from scripts import backlog, carving, moving, order, retiring
from scripts.carving import python
from scripts.retiring import MONOLITH
from strangler_proxy.steps import Stage, Step
from strangler_proxy.steps.gates import NothingReaches, RowsAlike, Settled
from strangler_proxy.steps.gates.health import Checkup
from strangler_proxy.steps.options import count, option, positive
from strangler_proxy.steps.parts import LeadDefault, RetireMove
from strangler_proxy.steps.proxy import Proxy
from strangler_proxy.steps.script import Script, Site, run_step_script

REST = "posts"
QUEUES = ("mail", "posts")
WEEK_S, SENDING_S = 7 * 24 * 3600.0, 60.0

EXAMPLES = """\
  scripts/step_5_retire.py                      the plan: what is proved, and what goes for good
  scripts/step_5_retire.py --execute            watch for a week, then leave the old tables behind
  scripts/step_5_retire.py --execute --watch-s 10 --patience-s 120 --min-requests 50
                                                a rehearsal, with scripts/traffic in a second shell
  scripts/step_5_retire.py --status             where it stands; once done, what can be deleted

--undo leads back until the first of the moves is retired. From then on it is refused with exit code
2, and --execute completes what was begun."""


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
    moves = [moving.move_of(name, site) for name in retiring.MOVES]
    led = Settled("routes", "no route leads to the monolith", retiring.routes_led(site))
    needed = retiring.needed(site)
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
            Stage("routes", None, (led,)),
            Stage("rest", LeadDefault(REST, proxy), (quiet,)),
            *(Stage(f"{move.name} rows", None, (RowsAlike(move),)) for move in moves),
            Stage("events", None, tuple(_events())),
            *(Stage(move.name, RetireMove(move, options.drop_tables, needed)) for move in moves),
        ),
    )


def _events() -> Iterator[Settled]:
    """Nothing waits to be sent, and nothing was put aside."""
    for name in reversed(retiring.MOVES):
        database = carving.variable(f"{name.upper()}_DATABASE_URL", moving.SET_BY_UP)
        sent = f"no event of {name} waits to be sent"
        yield Settled(f"outbox of {name}", sent, backlog.unsent(database), SENDING_S)
    for queue in QUEUES:
        # Only a person can settle these, and need not prove all the rest again behind it.
        yield Settled(f"dead letters of {queue}", f"{queue} has put none aside", _dead(queue), 0.0)


def _dead(queue: str) -> Checkup:
    """Asks for the dead letters of a queue."""
    dead = python("extracted.chassis.events", "dead", "list", "--queue", queue, "--json")
    how = f"python -m extracted.chassis.events dead replay --queue {queue}"

    def left(told: Any) -> str | None:
        letters = "1 dead letter" if len(told) == 1 else f"{len(told)} dead letters"
        return f"{letters} in {queue}: replay ({how}) or discard first" if told else None

    return backlog.asked(dead, left)


SCRIPT = Script(
    "retire",
    "Prove that nothing reaches the monolith, and leave its tables behind for good.",
    EXAMPLES,
    Options,
    declare,
    no_way_back=retiring.no_way_back,
    order=order.of("retire"),
    afterwards=retiring.left_over,
)

if __name__ == "__main__":
    run_step_script(SCRIPT)
