"""MySQL (8 or later) and MariaDB (10.6 or later) as a source or target of moves."""

from strangler_proxy.handover.databases.mysql.session import MysqlDatabase

__all__ = ["MysqlDatabase"]
