"""The first rows: products, their vectors, generations, entries, jobs.

Revision ID: 0001
Revises: nothing
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "cursors",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_cursors"),
    )
    op.create_table(
        "generations",
        sa.Column("id", KEY, nullable=False),
        sa.Column("collection", sa.String(length=255), nullable=False),
        sa.Column("embedder", sa.String(length=255), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("distance", sa.String(length=16), nullable=False),
        sa.Column("quantization", sa.String(length=16), nullable=True),
        sa.Column("index_options", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("backfilled_to", sa.BigInteger(), nullable=False),
        sa.Column("quality", sa.JSON(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("promoted_at", MOMENT, nullable=True),
        sa.Column("retired_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_generations"),
        sa.UniqueConstraint("collection", name="uq_generations_collection"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_generations_state", "generations", ["state"])

    op.create_table(
        "image_vectors",
        sa.Column("image_digest", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("image_digest", "fingerprint", name="pk_image_vectors"),
    )
    op.create_table(
        "jobs",
        sa.Column("id", KEY, nullable=False),
        sa.Column("verb", sa.String(length=64), nullable=False),
        sa.Column("arguments", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=True),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("started_at", MOMENT, nullable=True),
        sa.Column("heartbeat_at", MOMENT, nullable=True),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
    )
    op.create_index("ix_jobs_state", "jobs", ["state"])

    op.create_table(
        "products",
        sa.Column("id", KEY, nullable=False),
        sa.Column("sku", sa.String(length=128), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=True),
        sa.Column("gender", sa.String(length=255), nullable=True),
        sa.Column("master_category", sa.String(length=255), nullable=True),
        sa.Column("sub_category", sa.String(length=255), nullable=True),
        sa.Column("article_type", sa.String(length=255), nullable=True),
        sa.Column("base_colour", sa.String(length=255), nullable=True),
        sa.Column("season", sa.String(length=255), nullable=True),
        sa.Column("year", sa.Integer(), nullable=True),
        sa.Column("usage", sa.String(length=255), nullable=True),
        sa.Column("price", sa.Numeric(precision=12, scale=2, asdecimal=False), nullable=True),
        sa.Column("in_stock", sa.Boolean(), nullable=False),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.Column("image_uri", sa.Text(), nullable=True),
        sa.Column("image_digest", sa.String(length=64), nullable=True),
        sa.Column("image_bytes", sa.BigInteger(), nullable=True),
        sa.Column("image_mtime_ns", sa.BigInteger(), nullable=True),
        sa.Column("removed_at", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_products"),
        sa.UniqueConstraint("sku", name="uq_products_sku"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "events",
        sa.Column("id", KEY, nullable=False),
        sa.Column("product_id", KEY, nullable=False),
        sa.Column("shopper", sa.String(length=128), nullable=True),
        sa.Column("session", sa.String(length=128), nullable=True),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["product_id"],
            ["products.id"],
            name="fk_events_product_id_products",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
    )
    op.create_index("ix_events_product_id", "events", ["product_id"])
    op.create_index("ix_events_session", "events", ["session"])
    op.create_index("ix_events_shopper_at", "events", ["shopper", "at"])

    op.create_table(
        "index_entries",
        sa.Column("generation_id", KEY, nullable=False),
        sa.Column("product_id", KEY, nullable=False),
        sa.Column("wanted", sa.BigInteger(), nullable=False),
        sa.Column("embedded", sa.BigInteger(), nullable=False),
        sa.Column("embedded_digest", sa.String(length=64), nullable=True),
        sa.Column("indexed", sa.BigInteger(), nullable=False),
        sa.Column("claim", sa.BigInteger(), nullable=False),
        sa.Column("indexed_claim", sa.BigInteger(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("requested_at", MOMENT, nullable=False),
        sa.Column("due_at", MOMENT, nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["generation_id"],
            ["generations.id"],
            name="fk_index_entries_generation_id_generations",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["product_id"],
            ["products.id"],
            name="fk_index_entries_product_id_products",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("generation_id", "product_id", name="pk_index_entries"),
    )

    op.create_index(
        "ix_index_entries_due",
        "index_entries",
        ["generation_id", "priority", "due_at"],
        postgresql_where=sa.text("due_at IS NOT NULL"),
        sqlite_where=sa.text("due_at IS NOT NULL"),
    )

    op.create_index(
        "ix_index_entries_quarantine",
        "index_entries",
        ["generation_id", "product_id"],
        postgresql_where=sa.text("last_error IS NOT NULL"),
        sqlite_where=sa.text("last_error IS NOT NULL"),
    )


def downgrade() -> None:
    for table in (
        "index_entries",
        "events",
        "products",
        "jobs",
        "image_vectors",
        "generations",
        "cursors",
    ):
        op.drop_table(table)
