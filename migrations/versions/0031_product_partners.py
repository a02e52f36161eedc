"""The partners of each product in one row. Pairs that were counted before stay where they are.

Counting moves them, product by product (`backend.events.partners`), so this takes no time however
many there are, and the previous release can go on counting beside this one.

Revision ID: 0031
Revises: 0030
"""

from struct import iter_unpack

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

ROW = "<qdq"  # `backend.events.partners.ROW`
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "product_partners",
        sa.Column("product_id", KEY, autoincrement=False, nullable=False),
        sa.Column("packed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["product_id"],
            ["products.id"],
            name="fk_product_partners_product_id_products",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("product_id", name="pk_product_partners"),
    )


def downgrade() -> None:
    """Write a row for each pair again."""
    connection = op.get_bind()
    packed = sa.table("product_partners", sa.column("product_id"), sa.column("packed"))
    names = ("product_id", "other_id", "score", "times")
    pairs = sa.table("product_pairs", *map(sa.column, names))
    for product, array in connection.execute(sa.select(packed.c.product_id, packed.c.packed)).all():
        of_product = pairs.c.product_id == product
        found = {other: (score, times) for other, score, times in iter_unpack(ROW, bytes(array))}
        columns = pairs.c["other_id", "score", "times"]
        for other, score, times in connection.execute(sa.select(*columns).where(of_product)):
            before = found.get(other, (0.0, 0))
            found[other] = (before[0] + score, before[1] + times)
        rows = [dict(zip(names, (product, it, *both), strict=True)) for it, both in found.items()]
        connection.execute(sa.delete(pairs).where(of_product))
        if rows:
            connection.execute(sa.insert(pairs), rows)
    op.drop_table("product_partners")
