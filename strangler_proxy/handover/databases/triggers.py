"""What capture asks of a database: its tables and triggers, as SQL. Opens nothing.

The change table has the columns `id` (its own numbers, rising, but not in the order of commits),
`at` (seconds since 1970, when the change was made), `tbl` (the source table) and `row_key` (the raw
key as text; NULL: poison, the table was emptied in a way that names no rows). Where the database
tells who writes, also `writer` (NULL: not known), filled by a default and so in whatever trigger.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from strangler_proxy.handover.databases.port import Session, Side, TableName


@dataclass(frozen=True, slots=True)
class Trigger:
    """One trigger and what creates it; the statements go into one transaction where DDL can."""

    name: str
    table: TableName
    create: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Installed:
    """A trigger that is there: whether it fires for every writer, and what drops it."""

    name: str
    fires: bool
    drop: tuple[str, ...]


class CaptureSql(Protocol):
    """Capture in one database's SQL."""

    transactional: bool
    """Whether DDL can be rolled back."""
    tells_writers: bool
    """Whether the database tells who writes."""

    def tables(self, move: str, home: str | None) -> Sequence[str]:
        """CREATE of the tables that are not there yet, in the schema `home`."""

    def add_writers(self, session: Session, move: str, home: str | None) -> Sequence[str]:
        """What has a change table note who writes, made by a version that did not; else nothing.

        Entries that are there have no writer.
        """

    def drop_tables(self, session: Session, move: str, home: str | None) -> Sequence[str]:
        """DROP of those that are there and that nobody else needs."""

    def triggers(
        self, session: Session, move: str, home: str | None, sides: Sequence[Side]
    ) -> Sequence[Trigger]:
        """Every trigger that these tables need; HandoverRefused for what none could see."""

    def installed(self, session: Session, move: str, home: str | None) -> Sequence[Installed]:
        """The triggers of this move that are there."""
