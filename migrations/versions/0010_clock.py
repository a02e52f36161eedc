"""The clock of the database, the workers that were seen, and the claims of jobs.

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "clock",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("boot", sa.String(64), nullable=True),
        sa.Column("origin", MOMENT, nullable=True),
        sa.Column("ahead_seconds", sa.Float(), server_default="0", nullable=False),
        sa.Column("seen_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_clock"),
    )
    op.create_table(
        "workers",
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("embeds", sa.Boolean(), nullable=False),
        sa.Column("applies", sa.Boolean(), nullable=False),
        sa.Column("skew_seconds", sa.Float(), nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_workers"),
    )
    op.add_column("jobs", sa.Column("claim", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("jobs", sa.Column("cancelled_at", MOMENT, nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "cancelled_at")
    op.drop_column("jobs", "claim")
    op.drop_table("workers")
    op.drop_table("clock")
