"""The names of what a move keeps inside the databases that it works in. Pure.

All begin with `strangler_`, hold the move's name, and fit PostgreSQL's 63 bytes.
"""

import zlib

from strangler_proxy.handover.databases.port import TableName

LONGEST_MOVE = 24


def change_table(move: str) -> str:
    """Keys of changed rows, one entry a change."""
    return f"strangler_{move}_changes"


def mover_table(move: str) -> str:
    """SQLite's mark of the mover's own transactions."""
    return f"strangler_{move}_mover"


def checkpoint_table(move: str) -> str:
    """How far the backfill is, at the target."""
    return f"strangler_{move}_checkpoint"


def trigger(move: str, table: TableName, event: str) -> str:
    """A trigger of capture; MySQL and SQLite keep triggers of all tables in one namespace."""
    return f"strangler_{move}_{zlib.crc32(str(table).encode()):08x}_{event}"
