"""Re-indexing: what a generation was started under, when it was dropped; jobs that wait.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("generations", sa.Column("configured", sa.String(length=255), nullable=True))
    op.add_column("generations", sa.Column("dropped_at", MOMENT, nullable=True))
    op.add_column("jobs", sa.Column("rate", sa.Float(), nullable=True))
    op.add_column("jobs", sa.Column("wake_at", MOMENT, nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "wake_at")
    op.drop_column("jobs", "rate")
    op.drop_column("generations", "dropped_at")
    op.drop_column("generations", "configured")
