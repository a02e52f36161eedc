"""Experiments, and what became of lists by placement and arm.

Revision ID: 0028
Revises: 0027
"""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

LIST = ("list_name", "placement", "experiment", "arm")
ACTS = ("listed", "impressions", "clicks", "carts", "purchases")
NAMED = {"placement": 64, "experiment": 64, "arm": 16}


def upgrade() -> None:
    op.create_table(
        "experiments",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("placement", sa.String(64), nullable=True),
        sa.Column("against", sa.String(64), nullable=True),
        sa.Column("generation_id", sa.BigInteger(), nullable=True),
        sa.Column("share", sa.Float(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_experiments"),
    )
    op.create_table(
        "recommendation_arms",
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("list_name", sa.String(32), nullable=False),
        *[sa.Column(name, sa.String(length), nullable=False) for name, length in NAMED.items()],
        *[sa.Column(name, sa.BigInteger(), nullable=False) for name in ACTS],
        sa.PrimaryKeyConstraint("day", *LIST, name="pk_recommendation_arms"),
    )
    for name, length in NAMED.items():
        op.add_column("recommendation_log", sa.Column(name, sa.String(length), nullable=True))


def downgrade() -> None:
    for name in NAMED:
        op.drop_column("recommendation_log", name)
    op.drop_table("recommendation_arms")
    op.drop_table("experiments")
