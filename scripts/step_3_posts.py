#!/bin/sh
"""exec" "$(dirname "$0")/lib/python" "$0" "$@"

Step 3: carve the posts service out of the monolith, with posts and comments, and begin to mail by a
worker. The line above is for the shell, which reads it as a command: it makes the project's
environment, and runs this file in it. Python takes it for the docstring that it is. Importing this
module does nothing.
"""

from collections.abc import Iterator, Mapping
from importlib.util import find_spec

from extracted.posts.settings import posts_url
from scripts import carving, moving, order
from scripts.carving import ROOT, python
from scripts.moving import CanaryOptions, Capability, Worker
from strangler_proxy.steps import Stage, Step
from strangler_proxy.steps.parts import RunCommand
from strangler_proxy.steps.script import Script, Site, StepError, run_step_script

DATABASE = "POSTS_DATABASE_URL"
NAMES_S = 6 * 3600.0  # some milliseconds for each author

NOTHING = ("/posts/2000000000", "/comments?post=2000000000")
NEWEST = 10  # may be changed at the very moment when they are compared
EXAMPLES = """\
  scripts/step_3_posts.py                       the plan
  scripts/step_3_posts.py --execute             run it; thresholds for live traffic, a day's soak
  scripts/step_3_posts.py --execute --percents 50 --watch-s 5 --patience-s 120 --samples 12 \\
      --min-requests 10 --min-writes 1 --extra-errors 25% --p99-floor-s 5 --soak-s 5
                                                a rehearsal, with scripts/traffic in a second shell
  scripts/step_3_posts.py --status              where it stands
  scripts/step_3_posts.py --undo                everything back to the monolith, new posts too"""

CAPABILITY = Capability(
    number=3,
    name="posts",
    title="the posts service takes over posts and comments, and a worker the mail about them",
    writes=("post-create", "post-change", "comment-create"),
    seen=("post-create", "comment-create"),
    reads=("posts-list", "post-read", "comments-list"),
    samples=lambda site: _samples(site),
    environment={"DATABASE_URL": DATABASE},
    completed=lambda site, environment: _named(site, environment),
    workers=lambda environment: _workers(environment),
    finishes_events=True,
)


def _samples(site: Site) -> Iterator[str]:
    """What is not there; then posts, each with its comments."""
    yield from NOTHING
    for number, post in enumerate(carving.listed_posts(site)):
        if number >= NEWEST:
            yield f"/posts/{post['id']}"
            yield f"/comments?post={post['id']}"


def _workers(environment: Mapping[str, str]) -> tuple[Worker, ...]:
    return (
        Worker("posts-consumer", python("extracted.posts.consumer"), environment, writes=True),
        # What was published is mailed, whoever writes posts meanwhile.
        Worker("email-worker", python("extracted.email_worker"), stays=True),
    )


def _named(site: Site, environment: Mapping[str, str]) -> tuple[Stage, ...]:
    """Documents come without the names of their authors: who knows users is asked for them.

    Through the proxy, as users may have moved or not. A newcomer's name comes by an event if auth
    has moved, mostly before his first post does; what is not known then is asked for.
    """
    if not carving.is_mongodb(environment["DATABASE_URL"]):
        return ()
    ask = python("extracted.posts.mongodb.fill_names", "--auth", carving.front(site))
    told = RunCommand(
        "tell the names of authors", (*ask, "--every"), ROOT, environment, within_s=NAMES_S
    )
    follower = carving.program(site, "posts-names", (*ask, "--follow"), environment)
    return Stage("names", told), Stage("new names", follower)


def _check(database: str) -> None:
    try:
        posts_url(database)
    except ValueError as error:
        raise StepError(f"{DATABASE} {error}") from error
    if carving.is_mongodb(database) and find_spec("pymongo") is None:
        raise StepError(
            f"{DATABASE} names a MongoDB, whose driver is not installed: "
            "pip install 'strangler-proxy[mongodb]'"
        )


def declare(options: CanaryOptions, site: Site) -> Step:
    """The posts step as it runs on this site. Opens nothing. Raises StepError."""
    _check(carving.variable(DATABASE, moving.SET_BY_UP))
    return moving.declare(CAPABILITY, options, site)


SCRIPT = Script(
    "posts",
    "Carve the posts service out of the monolith, behind the running proxy.",
    EXAMPLES,
    CanaryOptions,
    declare,
    over=lambda site: moving.over("posts", site),
    order=order.of("posts"),
)

if __name__ == "__main__":
    run_step_script(SCRIPT)
