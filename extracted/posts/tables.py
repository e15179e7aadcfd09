"""The tables of the posts service in SQL, as `migrations/posts` makes them."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, MetaData, String, Table

from extracted.chassis.database import UtcTime, long_text
from extracted.chassis.events.processed import processed_table
from extracted.chassis.outbox import outbox_table

metadata = MetaData()

# The monolith's columns, and the author's name: users are in another service's database.
posts = Table(
    "posts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("author_id", Integer, nullable=False),
    Column("author_name", String(100), nullable=False),
    Column("title", String(200), nullable=False),
    Column("body", long_text(), nullable=False),
    Column("image_url", String(200)),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Index("ix_posts_author_id", "author_id"),
    sqlite_autoincrement=True,  # an id of a deleted row is never given out again
)
comments = Table(
    "comments",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("post_id", Integer, ForeignKey("posts.id", ondelete="CASCADE"), nullable=False),
    Column("author_id", Integer, nullable=False),
    Column("author_name", String(100), nullable=False),
    Column("body", long_text(), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Index("ix_comments_post_id", "post_id"),
    Index("ix_comments_author_id", "author_id"),
    sqlite_autoincrement=True,
)
# The newest name that an event has told. A row that only a writer has made says 1970: it is there
# to be locked, so that nobody is renamed between the look at his name and the writing of it.
authors = Table(
    "authors",
    metadata,
    Column("user_id", Integer, primary_key=True, autoincrement=False),
    Column("name", String(100), nullable=False),
    Column("named_at", UtcTime, nullable=False),
)
outbox = outbox_table(metadata)
processed = processed_table(metadata)
