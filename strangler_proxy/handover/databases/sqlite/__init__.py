"""SQLite as a source or target of moves: one file, one writer at a time."""

from strangler_proxy.handover.databases.sqlite.session import SqliteDatabase

__all__ = ["SqliteDatabase"]
