"""What a move asks of a MongoDB: a protocol with documents in and out. Opens nothing.

Written through it are whole fields of documents, by `_id`, so that the same may be written twice.
What returns has been acknowledged by a majority. Besides the moved collections a move keeps a few
documents of its own, in collections whose names begin with `strangler_`.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

Document = Mapping[str, Any]


class Hello(NamedTuple):
    """What a server says of itself: whether it is of a replica set, and its clock (since 1970)."""

    replica_set: bool
    now_s: float


@dataclass(frozen=True, slots=True)
class Changed:
    """One change that was seen in the stream: which document, what was done, when, and the mark
    from which the stream goes on behind it.
    """

    collection: str
    identifier: Any
    operation: str
    at: float
    mark: Document


class Store(Protocol):
    """One database, over connections of its own, of one thread at a time.

    Any method may raise DatabaseUnreachable, LockBusy where something does not end in time, Clash
    where a unique index refuses a document, HandoverRefused where a document is too large.
    """

    def hello(self) -> Hello:
        """Ask the server."""

    def collections(self) -> Collection[str]:
        """Names of those that are there."""

    def create(self, collection: str) -> None:
        """Make a collection that is not there yet."""

    def drop(self, collection: str) -> None:
        """Take a collection away, if it is there."""

    def insert(self, collection: str, documents: Sequence[bytes]) -> None:
        """Documents, encoded, that are not there. On Clash some of them are."""

    def put(self, collection: str, documents: Sequence[Document]) -> None:
        """Set these fields of the documents with these `_id`s, or make them; passes rules."""

    def delete(self, collection: str, identifiers: Sequence[Any]) -> None:
        """Take documents away by `_id`."""

    def find(self, collection: str, path: str, values: Sequence[Any]) -> list[Document]:
        """Whole documents with one of these at the path: a field, or one of an array's elements."""

    def scan(self, collection: str, batch: int) -> Iterator[list[Document]]:
        """All documents that are there throughout, in whatever order."""

    def largest(self, collection: str, path: str) -> Any:
        """The greatest value at a path; None where there is none."""

    def raise_number(self, collection: str, identifier: str, field: str, number: int) -> None:
        """Let a field be at least this number, in a document that may have to be made."""

    def swap(self, collection: str, wanted: Document, fields: Document) -> bool:
        """Set fields of the one document that is as wanted; whether there was one."""

    def index(self, collection: str, path: str, name: str) -> None:
        """Have an index on a path."""

    def drop_index(self, collection: str, name: str) -> None:
        """Take it away, if it is there."""

    def rule(self, collection: str) -> Document:
        """The collection's validator, validationLevel and -Action; empty where it has none."""

    def set_rule(self, collection: str, rule: Document, wait_s: float) -> None:
        """Give it another, once whoever is writing it has ended: LockBusy if that takes longer."""

    def position(self) -> Document:
        """A mark of the stream of changes: what is acknowledged from now on comes behind it."""

    def changes(
        self, collections: Sequence[str], mark: Document, most: int
    ) -> tuple[list[Changed], Document]:
        """So many changes behind a mark, in their order, and the mark to go on from.

        When they are fewer, there is none more that had been acknowledged when this was called.
        Only those that a majority has. HandoverRefused where the server does not know the mark any
        more.
        """

    def close(self) -> None:
        """Hang up."""
