"""Several images of a product, and the points of all of them.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "product_images",
        sa.Column("product_id", KEY, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=True),
        sa.Column("bytes", sa.BigInteger(), nullable=True),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=True),
        sa.Column("role", sa.String(64), nullable=True),
        sa.ForeignKeyConstraint(
            ["product_id"],
            ["products.id"],
            name="fk_product_images_product_id_products",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("product_id", "position", name="pk_product_images"),
    )
    op.create_index("ix_product_images_digest", "product_images", ["digest"])
    op.add_column("products", sa.Column("image_role", sa.String(64), nullable=True))
    op.add_column("products", sa.Column("more_images", sa.Integer(), nullable=True))
    op.add_column("generations", sa.Column("most_images", sa.Integer(), nullable=True))
    op.add_column("index_entries", sa.Column("more_digests", sa.JSON(), nullable=True))
    op.add_column("index_entries", sa.Column("more_points", sa.Integer(), nullable=True))
    op.add_column("index_entries", sa.Column("image_errors", sa.JSON(), nullable=True))
    has_errors = sa.text("image_errors IS NOT NULL")
    op.create_index(
        "ix_index_entries_image_errors",
        "index_entries",
        ["generation_id", "product_id"],
        postgresql_where=has_errors,
        sqlite_where=has_errors,
    )


def downgrade() -> None:
    op.drop_index("ix_index_entries_image_errors", "index_entries")
    op.drop_column("index_entries", "image_errors")
    op.drop_column("index_entries", "more_points")
    op.drop_column("index_entries", "more_digests")
    op.drop_column("generations", "most_images")
    op.drop_column("products", "more_images")
    op.drop_column("products", "image_role")
    op.drop_table("product_images")
