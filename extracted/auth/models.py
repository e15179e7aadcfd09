"""The rows of the auth service: users as the monolith keeps them, and the outbox."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from extracted.chassis.database import TABLE_OPTIONS, UtcTime, exact_text
from extracted.chassis.outbox import outbox_table


class Base(DeclarativeBase):
    """The parent of every table of the service."""


class UserRow(Base):
    """Somebody with an account. `email` is kept in lower case."""

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("email", name="uq_users_email"), TABLE_OPTIONS)

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(exact_text(254))
    name: Mapped[str] = mapped_column(String(100))
    password_hash: Mapped[str] = mapped_column(String(60))
    created_at: Mapped[datetime] = mapped_column(UtcTime)


OUTBOX = outbox_table(Base.metadata)
