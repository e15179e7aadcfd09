"""What a fence asks of a database: its table, its triggers, and a lock against every writer.

The fence table has one row: `state` (open, up or shut) and `until`, the moment when a fence that
is up lapses, in seconds since 1970 by the database's own clock. A trigger looks at that row under
a lock that it shares with other writers and keeps to the end of its transaction.
"""

import re
import zlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from strangler_proxy.handover.databases.port import Session, Side, TableName
from strangler_proxy.handover.databases.triggers import Installed, Trigger

_LONGEST = 128  # characters of an error's text in MySQL


class FenceSql(Protocol):
    """A fence in one database's SQL."""

    transactional: bool
    """Whether DDL can be rolled back."""
    now: str
    """Seconds since 1970 by the database's clock, at this statement; escaped."""

    def tables(self, move: str, home: str | None) -> Sequence[str]:
        """CREATE of the tables that are not there yet, in the schema `home`."""

    def drop_tables(self, session: Session, move: str, home: str | None) -> Sequence[str]:
        """DROP of those that are there and that nobody else needs."""

    def there(self, session: Session, move: str, home: str | None) -> bool:
        """Whether the fence table is."""

    def triggers(
        self, session: Session, move: str, home: str | None, sides: Sequence[Side]
    ) -> Sequence[Trigger]:
        """Every trigger that refuses writers of these tables."""

    def installed(self, session: Session, move: str, home: str | None) -> Sequence[Installed]:
        """The fence's triggers that are there."""

    def alone(
        self, session: Session, move: str, home: str | None, wait_s: float
    ) -> AbstractContextManager[None]:
        """A transaction for which no writer that has passed is open, and none passes.

        Writers that come meanwhile wait for its end. LockBusy when one that has passed goes on.
        """

    def aside(
        self, session: Session, move: str, home: str | None, wait_s: float
    ) -> AbstractContextManager[None]:
        """A transaction that may change the row, and stands in writers' way as little as it can."""


def fence_table(move: str) -> str:
    """The state of a move's fence at one database."""
    return f"strangler_{move}_fence"


def fence_trigger(move: str, table: TableName, definition: str) -> str:
    """A trigger of a fence, named by what it does: a changed definition is another trigger."""
    return f"strangler_{move}_{zlib.crc32(f'{table} {definition}'.encode()):08x}_fence"


def is_fence_trigger(move: str, name: str) -> bool:
    """Whether this trigger or function is of this move's fence, and of nothing else."""
    return re.fullmatch(rf"strangler_{re.escape(move)}_[0-9a-f]{{8}}_fence", name) is not None


def about_to_move(move: str, table: TableName) -> str:
    """What a writer is told while the fence is up."""
    return _sentence(table, f" is about to move (move '{move}'): try again in a few seconds")


def has_moved(move: str, table: TableName) -> str:
    """What a writer is told while the fence is shut."""
    return _sentence(table, f" takes no writes here: by move '{move}' it lives elsewhere")


def _sentence(table: TableName, rest: str) -> str:
    return str(table)[: _LONGEST - len(rest)] + rest
