"""What was mailed, for workers on several machines; one alone may keep it in a file of its own."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "processed_events",
        sa.Column("consumer", sa.String(60), primary_key=True),
        sa.Column("event_id", sa.String(36), primary_key=True),
        sa.Column("handled_ms", sa.BigInteger(), nullable=False, index=True),
    )


def downgrade() -> None:
    op.drop_table("processed_events")
