"""The databases that moves read from and write to, each behind port.Database."""

from strangler_proxy.handover.databases.url import open_database

__all__ = ["open_database"]
