"""How popular each product is, as one number, and indexes for the strongest pairs and new products.

Revision ID: 0021
Revises: 0020
"""

from math import log2

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
LANDMARK_DAY = 18_262
"""2020-01-01, from which `backend.events.decay` counts."""

HALF_LIVES = {"popular": 30.0, "trending": 2.0}


def upgrade() -> None:
    op.create_table(
        "product_popularity",
        sa.Column("product_id", KEY, nullable=False),
        sa.Column("popular", sa.Float(), nullable=False),
        sa.Column("trending", sa.Float(), nullable=False),
        sa.Column("last_day", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["product_id"],
            ["products.id"],
            name="fk_product_popularity_product_id_products",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("product_id", name="pk_product_popularity"),
    )
    for column in HALF_LIVES:
        op.create_index(f"ix_product_popularity_{column}", "product_popularity", [column])
    op.create_index("ix_products_created_at", "products", ["created_at"])
    op.create_index("ix_product_pairs_strongest", "product_pairs", ["product_id", "score"])
    _fill()


def _fill() -> None:
    """Add up the days that were counted so far."""
    connection = op.get_bind()
    days = sa.table("product_days", *[sa.column(name) for name in ("day", "product_id", "score")])
    found: dict[int, dict[str, float]] = {}
    for day, product, score in connection.execute(
        sa.select(days.c.day, days.c.product_id, days.c.score)
    ):
        if score > 0:
            row = found.setdefault(product, {"last_day": day})
            row["last_day"] = max(day, row["last_day"])
            for name, half_life in HALF_LIVES.items():
                level = log2(score) + (day + 0.5 - LANDMARK_DAY) / half_life
                before = row.get(name, level - 1000)
                larger = max(level, before)
                row[name] = larger + log2(1 + 2 ** max(-1000, min(level, before) - larger))
    rows = [{"product_id": product, **row} for product, row in sorted(found.items())]
    table = sa.table(
        "product_popularity",
        *[sa.column(name) for name in ("product_id", "popular", "trending", "last_day")],
    )
    if rows:
        connection.execute(sa.insert(table), rows)


def downgrade() -> None:
    op.drop_index("ix_product_pairs_strongest", "product_pairs")
    op.drop_index("ix_products_created_at", "products")
    op.drop_table("product_popularity")
