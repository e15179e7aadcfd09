"""The names of authors: one document for each, which posts and comments are read with.

It has the copied name once, where a table has it in every row: so a rename is one write of one
document, a killed writer leaves no old name behind, and what a move brings needs no such field,
which it could not make. Whoever tells a name tells when it was so, and the newest stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from extracted.posts.model import SETTLING, Writer
from extracted.posts.mongodb.documents import MICROSECOND, Document, microseconds


class Names:
    """The collection `authors`. `named_us` is the moment of the newest event, `told_us` that of the
    newest token."""

    def __init__(self, database: Database[Document]) -> None:
        self._authors = database["authors"]

    def of(self, user_ids: Iterable[int]) -> dict[int, str]:
        """The names that are known of these users."""
        found = self._authors.find({"_id": {"$in": list(set(user_ids))}})
        return {each["_id"]: each["name"] for each in found}

    def learn(self, user_id: int, name: str, at: datetime) -> None:
        """An event tells that the user had this name then."""
        named_us = microseconds(at)
        older = {"_id": user_id, "named_us": {"$lte": named_us}}
        self._put(older, {"name": name, "named_us": named_us}, {"told_us": 0})

    def claim(self, writer: Writer) -> str:
        """The name to write for whom a token speaks, as `model.name_to_write` chooses it; if that
        is the token's, it is the newest from now on, until an event says otherwise."""
        told_us = microseconds(writer.told_at)
        older = {
            "_id": writer.id,
            "told_us": {"$lt": told_us},
            "named_us": {"$lte": told_us - SETTLING // MICROSECOND},
        }
        self._put(older, {"name": writer.name, "told_us": told_us}, {"named_us": 0})
        return self.of([writer.id])[writer.id]

    def known(self, user_id: int) -> Document | None:
        """All that is known of this user now, for `correct`."""
        return self._authors.find_one({"_id": user_id})

    def fill(self, user_id: int, name: str) -> None:
        """The name of somebody of whom nothing is known yet; any other news is newer."""
        unknown = {"name": name, "named_us": 0, "told_us": 0}
        self._authors.update_one({"_id": user_id}, {"$setOnInsert": unknown}, upsert=True)

    def correct(self, known: Document, name: str) -> None:
        """The name of somebody of whom just this was known before it was asked for; news that has
        come meanwhile is newer."""
        self._authors.update_one(known, {"$set": {"name": name}})

    def _put(self, older: Document, values: Document, at_first: Document) -> None:
        try:
            self._authors.update_one(older, {"$set": values, "$setOnInsert": at_first}, upsert=True)
        except DuplicateKeyError:
            # It is there: and newer, or else it was made in this very moment.
            self._authors.update_one(older, {"$set": values})
