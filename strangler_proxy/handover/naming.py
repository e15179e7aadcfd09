"""The names of what a move keeps inside the databases that it works in. Pure.

All begin with `strangler_`, hold the move's name, and fit PostgreSQL's 63 bytes.
"""

import re
import zlib

from strangler_proxy.handover.databases.port import TableName


def change_table(move: str) -> str:
    """Keys of changed rows, one entry a change."""
    return f"strangler_{move}_changes"


def writers_table(move: str) -> str:
    """Who made the changes that were carried over."""
    return f"strangler_{move}_writers"


def mover_table(move: str) -> str:
    """SQLite's mark of the mover's own transactions."""
    return f"strangler_{move}_mover"


def checkpoint_table(move: str) -> str:
    """How far the backfill is, at the target."""
    return f"strangler_{move}_checkpoint"


def array_index(move: str, array: str) -> str:
    """What a moved array's elements are found by, at MongoDB."""
    return f"strangler_{move}_{array}"


def trigger(move: str, table: TableName, definition: str, event: str) -> str:
    """A trigger of capture, named by what it does: a changed definition is another trigger.

    MySQL and SQLite keep the triggers of all tables in one namespace.
    """
    return f"strangler_{move}_{zlib.crc32(f'{table} {definition}'.encode()):08x}_{event}"


def is_trigger(move: str, name: str) -> bool:
    """Whether this trigger or function is of this move's capture, and of no other's."""
    return re.fullmatch(rf"strangler_{re.escape(move)}_[0-9a-f]{{8}}_[a-z]{{3}}", name) is not None
