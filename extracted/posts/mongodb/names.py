"""The names that events have told, and their way into what their users wrote.

A name is known before it is spread, and whoever writes looks at the known ones once more after
writing. So of a rename and a writing that meet, one at least sees the other.
"""

from __future__ import annotations

from datetime import datetime

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from extracted.posts.model import Renaming
from extracted.posts.mongodb.documents import Document, microseconds, moment


class Names:
    """The collection `authors`, and the copies in `posts` and `comments`."""

    def __init__(self, database: Database[Document]) -> None:
        self._authors = database["authors"]
        self._copies = (database["posts"], database["comments"])

    def known(self, user_id: int) -> Renaming | None:
        """The newest name that an event has told."""
        found = self._authors.find_one({"_id": user_id})
        return None if found is None else Renaming(found["name"], moment(found["named_us"]))

    def learn(self, user_id: int, name: str, at: datetime) -> None:
        """A user was given this name then; kept unless a newer one is known."""
        named_us = microseconds(at)
        older = {"_id": user_id, "named_us": {"$lte": named_us}}
        try:
            self._authors.update_one(
                older, {"$set": {"name": name, "named_us": named_us}}, upsert=True
            )
        except DuplicateKeyError:
            return  # there is one, and it is newer

    def spread(self, user_id: int) -> None:
        """Write the known name beside all that the user wrote; the newest, if it changes again."""
        known = self.known(user_id)
        while known is not None:
            stale = {"author_id": user_id, "author_name": {"$ne": known.name}}
            for copies in self._copies:
                copies.update_many(stale, {"$set": {"author_name": known.name}})
            before, known = known, self.known(user_id)
            if known == before:
                return
