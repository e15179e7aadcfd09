"""Names for what a move has brought: it copies author ids, and the users are the auth service's.

Asking writes to no collection that is moved, so it is safe at any time, and to repeat.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Set
from typing import NamedTuple

from pymongo.database import Database
from pymongo.errors import PyMongoError

from extracted.chassis.client import ServiceClient, ServiceUnavailableError
from extracted.chassis.events.pace import Outage
from extracted.posts.mongodb.documents import Document
from extracted.posts.mongodb.names import Names

log = logging.getLogger(__name__)

LOOK_S = 0.5
# Looking for authors without a name reads an index through: this share of the time, while that
# does not make a newcomer wait for long.
MOST_OF_TIME, LONGEST_S = 0.1, 5.0
NOBODY_S = 300.0


class UnexpectedAnswerError(Exception):
    """The auth service told neither a name nor that there is no such user."""


class Filled(NamedTuple):
    """How many names were told, and which authors are no users."""

    told: int
    nobody: frozenset[int]


def fill_names(
    database: Database[Document],
    names: Names,
    auth: ServiceClient,
    *,
    every: bool = False,
    but: Set[int] = frozenset(),
) -> Filled:
    """Ask for the name of every author of whom nothing is known, `but` these.

    With `every`, ask for those as well of whom something is: an event may have been missed while
    nobody listened. Raises UnexpectedAnswerError when all others were asked for,
    ServiceUnavailableError and PyMongoError, with what was told until then kept.
    """
    authors = set(database["posts"].distinct("author_id"))
    authors |= set(database["comments"].distinct("author_id"))
    if not every:
        authors -= names.of(authors).keys()
    told, nobody, unexpected = 0, set[int](), list[str]()
    for user_id in sorted(authors - but):
        known = names.known(user_id)  # before it is asked for, so that the answer is the newer one
        answer = auth.request("GET", f"/users/{user_id}")
        if answer.status == 200 and isinstance(answer.json.get("name"), str):
            told += _tell(names, user_id, known, answer.json["name"])
        elif answer.status == 404:
            log.warning("There is no user %s, who has written something", user_id)
            nobody.add(user_id)
        else:
            unexpected.append(f"GET /users/{user_id} was answered {answer.status}")
    if unexpected:
        more = f", and {len(unexpected) - 1} more" if len(unexpected) > 1 else ""
        raise UnexpectedAnswerError(unexpected[0] + more)
    return Filled(told, frozenset(nobody))


def follow(fill: Callable[[Set[int]], Filled], stop: threading.Event) -> None:
    """Fill in names as a move brings new authors, until `stop` is set.

    `fill` is given whom to leave out for now, since they are no users. What it raises is told in
    the log, and tried again.
    """
    nobody: dict[int, float] = {}
    outage = Outage("Names of authors")
    while not stop.is_set():
        began = time.monotonic()
        nobody = {user_id: until for user_id, until in nobody.items() if until > began}
        try:
            filled = fill(nobody.keys())
        except (PyMongoError, ServiceUnavailableError, UnexpectedAnswerError) as error:
            stop.wait(outage.wait_s(error))
            continue
        outage.over()
        nobody |= dict.fromkeys(filled.nobody, began + NOBODY_S)
        looked_s = 0.0 if filled.told else time.monotonic() - began
        stop.wait(min(max(LOOK_S, looked_s / MOST_OF_TIME), LONGEST_S))


def _tell(names: Names, user_id: int, known: Document | None, name: str) -> bool:
    """Put it down; whether that was news."""
    if known is None:
        names.fill(user_id, name)
    elif known["name"] != name:
        names.correct(known, name)
    else:
        return False
    return True
