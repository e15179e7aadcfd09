"""Names for what a move has brought: it copies author ids, and the users are the auth service's."""

from __future__ import annotations

import logging

from pymongo.database import Database

from extracted.chassis.client import ServiceClient
from extracted.posts.mongodb.documents import Document
from extracted.posts.mongodb.names import Names

log = logging.getLogger(__name__)


class UnexpectedAnswerError(Exception):
    """The auth service told neither a name nor that there is no such user."""


def fill_names(database: Database[Document], names: Names, auth: ServiceClient) -> tuple[int, int]:
    """Ask for the name of every author of whom nothing is known; how many were told, and how many
    there are no such users of.

    Safe to repeat, at any time: it writes to no collection that is moved. Raises
    UnexpectedAnswerError, ServiceUnavailableError and PyMongoError, with what was told until then
    kept.
    """
    authors = set(database["posts"].distinct("author_id"))
    authors |= set(database["comments"].distinct("author_id"))
    told = 0
    unknown = sorted(authors - names.of(authors).keys())
    for user_id in unknown:
        answer = auth.request("GET", f"/users/{user_id}")
        if answer.status == 200 and isinstance(answer.json.get("name"), str):
            names.fill(user_id, answer.json["name"])
            told += 1
        elif answer.status == 404:
            log.warning("There is no user %s, who has written something", user_id)
        else:
            raise UnexpectedAnswerError(f"GET /users/{user_id} was answered {answer.status}")
    return told, len(unknown) - told
