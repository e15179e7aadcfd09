"""Posts in MongoDB, over pymongo, with no transactions, which only a replica set has.

So every step that must not be torn is one write of one document, and what follows from it stands in
that document until it is done: see `unfinished`.
"""

from extracted.posts.mongodb.storage import MongoStorage

__all__ = ["MongoStorage"]
