"""The tables of the payment service, as `migrations/payment` makes them."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Index, Integer, MetaData, String, Table, UniqueConstraint

from extracted.chassis.database import UtcTime, exact_text
from extracted.chassis.outbox import outbox_table

metadata = MetaData()

# The monolith's columns, and those of who pays, filled while a payment is unfinished, and of when
# the reconciler asks for it again. `lease_until` is null while nobody is on it.
payments = Table(
    "payments",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("user_id", Integer, nullable=False),
    Column("idempotency_key", exact_text(255), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("amount", Integer, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("payment_method", String(100), nullable=False),
    Column("status", String(30), nullable=False),
    Column("stripe_id", String(100)),
    Column("refusal", JSON(none_as_null=True)),
    Column("lease_until", UtcTime),
    Column("created_at", UtcTime, nullable=False),
    Column("finished_at", UtcTime),
    Column("payer_name", String(100)),
    Column("payer_email", exact_text(254)),
    Column("payer_language", String(2)),
    Column("retry_at", UtcTime),
    UniqueConstraint("user_id", "idempotency_key", name="uq_payments_user_key"),
    Index("ix_payments_status", "status"),  # the few unfinished among the many
    sqlite_autoincrement=True,  # an id of a deleted row is never given out again
    mysql_charset="utf8mb4",
    mariadb_charset="utf8mb4",
)

outbox = outbox_table(metadata)
