"""The rows of the blog. They know their columns and nothing of HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from monolith.db import Base, UtcTime, exact_text, long_text

TABLE_OPTIONS = {
    "sqlite_autoincrement": True,
    "mysql_charset": "utf8mb4",
    "mariadb_charset": "utf8mb4",
}


class User(Base):
    """Somebody with an account. `email` is kept in lower case."""

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("email", name="uq_users_email"), TABLE_OPTIONS)

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(exact_text(254))
    name: Mapped[str] = mapped_column(String(100))
    password_hash: Mapped[str] = mapped_column(String(60))
    created_at: Mapped[datetime] = mapped_column(UtcTime)


class Post(Base):
    """One post, with at most one image."""

    __tablename__ = "posts"
    __table_args__ = (TABLE_OPTIONS,)

    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    title: Mapped[str] = mapped_column(String(200))
    body: Mapped[str] = mapped_column(long_text())
    image_url: Mapped[str | None] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    updated_at: Mapped[datetime] = mapped_column(UtcTime)
    author: Mapped[User] = relationship(lazy="joined", innerjoin=True)


class Comment(Base):
    """One comment; it goes when its post goes."""

    __tablename__ = "comments"
    __table_args__ = (TABLE_OPTIONS,)

    id: Mapped[int] = mapped_column(primary_key=True)
    post_id: Mapped[int] = mapped_column(ForeignKey("posts.id", ondelete="CASCADE"), index=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    body: Mapped[str] = mapped_column(long_text())
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    author: Mapped[User] = relationship(lazy="joined", innerjoin=True)


class Payment(Base):
    """One payment asked for: recorded before Stripe is called, finished after.

    `status` is pending, succeeded, processing or failed. `refusal` holds the refusing answer
    of a failed one: {status, code, message, ...}. Until `lease_until` one request is at work
    on a pending payment; `amount` is in the currency's minor unit.
    """

    __tablename__ = "payments"
    __table_args__ = (
        UniqueConstraint("user_id", "idempotency_key", name="uq_payments_user_key"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    idempotency_key: Mapped[str] = mapped_column(exact_text(255))
    fingerprint: Mapped[str] = mapped_column(String(64))
    amount: Mapped[int]
    currency: Mapped[str] = mapped_column(String(3))
    payment_method: Mapped[str] = mapped_column(String(100))
    status: Mapped[str] = mapped_column(String(30))
    stripe_id: Mapped[str | None] = mapped_column(String(100))
    refusal: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    lease_until: Mapped[datetime | None] = mapped_column(UtcTime)
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcTime)
