"""Posts and comments, as in the monolith, with their authors' names; what events leave behind."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime().with_variant(postgresql.TIMESTAMP(precision=3), "postgresql")

AUTOINCREMENT = {"sqlite_autoincrement": True}  # an id of a deleted row is never given out again


def upgrade() -> None:
    op.create_table(
        "posts",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("author_id", sa.Integer, nullable=False),
        sa.Column("author_name", sa.String(100), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("image_url", sa.String(200)),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Index("ix_posts_author_id", "author_id"),
        **AUTOINCREMENT,
    )
    op.create_table(
        "comments",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "post_id", sa.Integer, sa.ForeignKey("posts.id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("author_id", sa.Integer, nullable=False),
        sa.Column("author_name", sa.String(100), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Index("ix_comments_post_id", "post_id"),
        sa.Index("ix_comments_author_id", "author_id"),
        **AUTOINCREMENT,
    )
    op.create_table(
        "authors",
        sa.Column("user_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("named_at", MOMENT, nullable=False),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("event_id", sa.String(36), nullable=False, unique=True),
        sa.Column("type", sa.String(100), nullable=False),
        sa.Column("order_key", sa.String(200), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("mandatory", sa.Integer(), nullable=False),
        sa.Column("recorded_ms", sa.BigInteger(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("sent_ms", sa.BigInteger()),
        sa.Index("ix_outbox_sent_id", "sent_ms", "id"),
        sa.Index("ix_outbox_key_sent_id", "order_key", "sent_ms", "id"),
        **AUTOINCREMENT,
    )
    op.create_table(
        "processed_events",
        sa.Column("consumer", sa.String(60), primary_key=True),
        sa.Column("event_id", sa.String(36), primary_key=True),
        sa.Column("handled_ms", sa.BigInteger(), nullable=False, index=True),
    )


def downgrade() -> None:
    for table in ("processed_events", "outbox", "authors", "comments", "posts"):
        op.drop_table(table)
