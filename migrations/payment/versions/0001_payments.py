"""Payments, as in the monolith, with their payer while they are unfinished; and the outbox."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

OPTIONS = {
    "sqlite_autoincrement": True,  # an id of a deleted row is never given out again
    "mysql_charset": "utf8mb4",
    "mariadb_charset": "utf8mb4",
    "mysql_engine": "InnoDB",
    "mariadb_engine": "InnoDB",
}


def moment() -> sa.types.TypeEngine:
    return (
        sa.DateTime()
        .with_variant(mysql.DATETIME(fsp=3), "mysql", "mariadb")
        .with_variant(postgresql.TIMESTAMP(precision=3), "postgresql")
    )


def exact_text(length: int) -> sa.types.TypeEngine:
    return sa.String(length).with_variant(
        mysql.VARCHAR(length, collation="utf8mb4_bin"), "mysql", "mariadb"
    )


def upgrade() -> None:
    op.create_table(
        "payments",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("user_id", sa.Integer, nullable=False),
        sa.Column("idempotency_key", exact_text(255), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("amount", sa.Integer, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("payment_method", sa.String(100), nullable=False),
        sa.Column("status", sa.String(30), nullable=False),
        sa.Column("stripe_id", sa.String(100)),
        sa.Column("refusal", sa.JSON),
        sa.Column("lease_until", moment()),
        sa.Column("created_at", moment(), nullable=False),
        sa.Column("finished_at", moment()),
        sa.Column("payer_name", sa.String(100)),
        sa.Column("payer_email", exact_text(254)),
        sa.Column("payer_language", sa.String(2)),
        sa.Column("retry_at", moment()),
        sa.UniqueConstraint("user_id", "idempotency_key", name="uq_payments_user_key"),
        sa.Index("ix_payments_status", "status"),
        **OPTIONS,
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("event_id", sa.String(36), nullable=False, unique=True),
        sa.Column("type", sa.String(100), nullable=False),
        sa.Column("order_key", exact_text(200), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("mandatory", sa.Integer(), nullable=False),
        sa.Column("recorded_ms", sa.BigInteger(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("sent_ms", sa.BigInteger()),
        sa.Index("ix_outbox_sent_id", "sent_ms", "id"),
        sa.Index("ix_outbox_key_sent_id", "order_key", "sent_ms", "id"),
        **OPTIONS,
    )


def downgrade() -> None:
    op.drop_table("outbox")
    op.drop_table("payments")
