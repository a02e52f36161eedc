"""How strongly categories go together, by the pairs of their products.

Revision ID: 0025
Revises: 0024
"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "category_pairs",
        sa.Column("level", sa.String(32), nullable=False),
        sa.Column("category", sa.String(255), nullable=False),
        sa.Column("other", sa.String(255), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("level", "category", "other", name="pk_category_pairs"),
    )
    for level in ("sub_category", "article_type"):
        _fill(level)


def _fill(level: str) -> None:
    """Add up the pairs that were counted so far."""
    pairs = sa.table("product_pairs", *map(sa.column, ("product_id", "other_id", "score", "times")))
    products = sa.table("products", sa.column("id"), sa.column(level))
    one, other = products.alias("one"), products.alias("other")
    query = (
        sa.select(
            sa.literal(level, sa.String),
            one.c[level],
            other.c[level],
            sa.func.sum(pairs.c.score),
            sa.func.sum(pairs.c.times),
        )
        .join_from(pairs, one, one.c.id == pairs.c.product_id)
        .join(other, other.c.id == pairs.c.other_id)
        .where(one.c[level].is_not(None), other.c[level].is_not(None))
        .group_by(one.c[level], other.c[level])
    )
    names = ("level", "category", "other", "score", "times")
    table = sa.table("category_pairs", *map(sa.column, names))
    op.execute(sa.insert(table).from_select(list(names), query))


def downgrade() -> None:
    op.drop_table("category_pairs")
