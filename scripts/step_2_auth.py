#!/bin/sh
"""exec" "$(dirname "$0")/lib/python" "$0" "$@"

Step 2: carve the auth service out of the monolith, with the table of users. The line above is for
the shell, which reads it as a command: it makes the project's environment, and runs this file in
it. Python takes it for the docstring that it is. Importing this module does nothing.
"""

from collections.abc import Iterator

from scripts import carving, moving, order
from scripts.carving import ROOT, python, variable
from scripts.moving import CanaryOptions, Capability
from strangler_proxy.steps import Step
from strangler_proxy.steps.parts import RunCommand, RunWhenUndone
from strangler_proxy.steps.script import Script, Site, run_step_script

NOBODY = "/users/2000000000"
COPIES_OF_NAMES = "posts"  # the queue that takes events about users
EXAMPLES = """\
  scripts/step_2_auth.py                        the plan
  scripts/step_2_auth.py --execute              run it; thresholds for live traffic, a day's soak
  scripts/step_2_auth.py --execute --percents 50 --watch-s 5 --patience-s 120 --samples 3 \\
      --min-requests 10 --min-writes 1 --extra-errors 25% --p99-floor-s 5 --soak-s 5
                                                a rehearsal, with scripts/traffic in a second shell
  scripts/step_2_auth.py --status               where it stands
  scripts/step_2_auth.py --undo                 everything back to the monolith, new users too"""


def capability() -> Capability:
    """The accounts. Raises StepError."""
    keys = python("extracted.auth.keys", "new", "--dir", variable("SIGNING_KEYS", moving.SET_BY_UP))
    return Capability(
        number=2,
        name="auth",
        title="the auth service takes over accounts and tokens, with the table users",
        # A user who has just registered logs in and shows the token at once: that is one side's.
        writes=("register", "login", "verify", "user-change"),
        seen=("login", "verify"),
        reads=("user-read",),
        samples=_samples,
        environment={"DATABASE_URL": "AUTH_DATABASE_URL"},
        first=(RunCommand("make a key to sign tokens with", keys, ROOT), *_forgotten()),
        seam=True,
    )


def _forgotten() -> tuple[RunWhenUndone, RunWhenUndone]:
    """Events do not outlive the undo: the monolith's renames tell nobody that they are out of date.

    Undone from the last to the first, and so the outbox comes before the queue: what a relay that
    runs elsewhere sends meanwhile is in the queue by then.
    """
    outbox = {"DATABASE_URL": variable("AUTH_DATABASE_URL", moving.SET_BY_UP)}
    broker = {"BROKER_URL": variable("BROKER_URL", moving.SET_BY_UP)}
    empty = python("extracted.chassis.events", "empty", "--queue", COPIES_OF_NAMES, "--yes")
    forget = python("extracted.chassis.relay", "--forget")
    return (
        RunWhenUndone("forget events about users that nobody has handled", empty, ROOT, broker),
        RunWhenUndone("forget events about users that wait to be sent", forget, ROOT, outbox),
    )


def _samples(site: Site) -> Iterator[str]:
    """Every author once, and nobody."""
    yield NOBODY
    seen = set()
    for post in carving.listed_posts(site):
        user_id = post["author"]["id"]
        if user_id not in seen:
            seen.add(user_id)
            yield f"/users/{user_id}"


def declare(options: CanaryOptions, site: Site) -> Step:
    """The auth step as it runs on this site. Opens nothing. Raises StepError."""
    return moving.declare(capability(), options, site)


SCRIPT = Script(
    "auth",
    "Carve the auth service out of the monolith, behind the running proxy.",
    EXAMPLES,
    CanaryOptions,
    declare,
    over=lambda site: moving.over("auth", site),
    order=order.of("auth"),
)

if __name__ == "__main__":
    run_step_script(SCRIPT)
