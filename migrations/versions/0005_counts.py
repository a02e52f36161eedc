"""Counts of a large catalogue, which one process leaves for the others.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "counts",
        sa.Column("generation_id", KEY, nullable=False),
        sa.Column("progress", sa.JSON(), nullable=False),
        sa.Column("counted_at", MOMENT, nullable=False),
        sa.Column("good_until", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["generation_id"],
            ["generations.id"],
            name="fk_counts_generation_id_generations",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("generation_id", name="pk_counts"),
    )


def downgrade() -> None:
    op.drop_table("counts")
