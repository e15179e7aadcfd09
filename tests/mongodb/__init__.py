"""MongoDBs for tests: one in memory behind the store's port, and what speaks the wire protocol."""
