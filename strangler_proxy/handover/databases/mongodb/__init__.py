"""MongoDB, as the target of a move: documents instead of rows, and no SQL."""

from strangler_proxy.handover.databases.mongodb.session import MongoDatabase, MongoSession

__all__ = ["MongoDatabase", "MongoSession"]
