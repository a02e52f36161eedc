"""Images that are still to come, images that nothing names, and who names a digest.

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    time = sa.DateTime(timezone=True)
    op.add_column("index_entries", sa.Column("image_awaited_since", time, nullable=True))
    op.add_column("index_entries", sa.Column("image_retry_at", time, nullable=True))
    op.add_column("counts", sa.Column("awaited", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_index_entries_awaited",
        "index_entries",
        ["generation_id", "image_retry_at"],
        postgresql_where=sa.text("image_retry_at IS NOT NULL"),
        sqlite_where=sa.text("image_retry_at IS NOT NULL"),
    )
    op.create_index("ix_index_entries_embedded_digest", "index_entries", ["embedded_digest"])
    op.create_index("ix_products_image_digest", "products", ["image_digest"])
    op.create_table(
        "unnamed_images",
        sa.Column("image_digest", sa.String(64), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=True),
        sa.Column("vectors", sa.Integer(), nullable=False),
        sa.Column("found_at", time, nullable=False),
        sa.PrimaryKeyConstraint("image_digest", name="pk_unnamed_images"),
    )
    op.create_index("ix_unnamed_images_found_at", "unnamed_images", ["found_at"])


def downgrade() -> None:
    op.drop_table("unnamed_images")
    op.drop_index("ix_products_image_digest", "products")
    op.drop_index("ix_index_entries_embedded_digest", "index_entries")
    op.drop_index("ix_index_entries_awaited", "index_entries")
    op.drop_column("counts", "awaited")
    op.drop_column("index_entries", "image_retry_at")
    op.drop_column("index_entries", "image_awaited_since")
