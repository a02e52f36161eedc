"""Answers with recommendations, and what became of listed products.

Revision ID: 0018
Revises: 0017
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

ACTS = ("listed", "impressions", "clicks", "carts", "purchases")


def upgrade() -> None:
    op.create_table(
        "recommendation_log",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("list_name", sa.String(32), nullable=False),
        sa.Column("generation_id", sa.BigInteger(), nullable=False),
        sa.Column("shopper", sa.String(128), nullable=True),
        sa.Column("session", sa.String(128), nullable=True),
        sa.Column("question", sa.JSON(), nullable=False),
        sa.Column("items", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_recommendation_log"),
    )
    for column in ("at", "shopper", "session"):
        op.create_index(f"ix_recommendation_log_{column}", "recommendation_log", [column])
    op.create_table(
        "recommendation_days",
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("list_name", sa.String(32), nullable=False),
        sa.Column("reason", sa.String(16), nullable=False),
        sa.Column("generation_id", sa.BigInteger(), nullable=False),
        sa.Column("cold", sa.Boolean(), nullable=False),
        *[sa.Column(name, sa.BigInteger(), nullable=False) for name in ACTS],
        sa.PrimaryKeyConstraint(
            "day", "list_name", "reason", "generation_id", "cold", name="pk_recommendation_days"
        ),
    )
    op.create_index(
        "ix_events_recommendation",
        "events",
        ["recommendation"],
        postgresql_where=sa.text("recommendation IS NOT NULL"),
        sqlite_where=sa.text("recommendation IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_events_recommendation", "events")
    op.drop_table("recommendation_days")
    op.drop_table("recommendation_log")
