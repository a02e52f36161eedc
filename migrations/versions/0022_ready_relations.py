"""What the looks of a product tell of it, kept ready for lists of what goes together.

Revision ID: 0022
Revises: 0021
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "ready_relations",
        sa.Column("generation_id", KEY, nullable=False),
        sa.Column("product_id", KEY, nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("newest_product", sa.BigInteger(), nullable=False),
        sa.Column("packed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["generation_id"],
            ["generations.id"],
            name="fk_ready_relations_generation_id_generations",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["product_id"],
            ["products.id"],
            name="fk_ready_relations_product_id_products",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("generation_id", "product_id", name="pk_ready_relations"),
    )
    for column in ("product_id", "made_at"):
        op.create_index(f"ix_ready_relations_{column}", "ready_relations", [column])


def downgrade() -> None:
    op.drop_table("ready_relations")
