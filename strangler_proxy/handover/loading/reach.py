"""Faults of a connection that is used directly, as a session tells its own."""

from collections.abc import Iterator
from contextlib import contextmanager

from strangler_proxy.handover.databases.port import Session
from strangler_proxy.handover.faults import DatabaseUnreachable


@contextmanager
def asking(session: Session) -> Iterator[None]:
    """While psycopg's connection is used: if it is lost, DatabaseUnreachable."""
    try:
        yield
    except Exception as fault:
        if session.raw.closed:
            raise DatabaseUnreachable(f"PostgreSQL went away: {fault}") from fault
        raise
