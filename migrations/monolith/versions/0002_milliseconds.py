"""Moments to the millisecond in PostgreSQL too, as elsewhere: nothing finer was ever written."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MOMENTS = {
    "users": ("created_at",),
    "posts": ("created_at", "updated_at"),
    "comments": ("created_at",),
    "payments": ("lease_until", "created_at", "finished_at"),
}


def upgrade() -> None:
    _alter(postgresql.TIMESTAMP(precision=3))


def downgrade() -> None:
    _alter(sa.DateTime())


def _alter(kind: sa.types.TypeEngine) -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for table, columns in MOMENTS.items():
        for column in columns:
            op.alter_column(table, column, type_=kind)
