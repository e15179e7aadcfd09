"""PostgreSQL (13 or later) as a source or target of moves."""

from strangler_proxy.handover.databases.postgresql.session import PostgresqlDatabase

__all__ = ["PostgresqlDatabase"]
