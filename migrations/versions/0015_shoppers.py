"""What shoppers do: events by id, pairs of products, and what happened on each day.

Revision ID: 0015
Revises: 0014
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    with op.batch_alter_table("events") as events:  # no release has written a row
        events.alter_column("product_id", existing_type=KEY, nullable=True)
        events.add_column(sa.Column("event_id", sa.String(128), nullable=True))
        events.add_column(sa.Column("sku", sa.String(128), nullable=True))
        events.add_column(sa.Column("basket", sa.String(128), nullable=True))
        events.add_column(sa.Column("recommendation", sa.String(64), nullable=True))
        events.add_column(sa.Column("pending", sa.Integer(), nullable=True))
        events.create_unique_constraint("uq_events_event_id", ["event_id"])
    op.create_index("ix_events_at", "events", ["at"])
    op.create_index(
        "ix_events_pending",
        "events",
        ["pending", "id"],
        postgresql_where=sa.text("pending IS NOT NULL"),
        sqlite_where=sa.text("pending IS NOT NULL"),
    )
    op.create_table(
        "product_pairs",
        _product("product_id"),
        _product("other_id"),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("product_id", "other_id", name="pk_product_pairs"),
        *_references("product_pairs", "product_id", "other_id"),
    )
    op.create_index("ix_product_pairs_other_id", "product_pairs", ["other_id"])
    op.create_table(
        "product_days",
        sa.Column("day", sa.Integer(), nullable=False),
        _product("product_id"),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "product_id", name="pk_product_days"),
        *_references("product_days", "product_id"),
    )
    op.create_index("ix_product_days_product_id", "product_days", ["product_id"])


def _product(name: str) -> sa.Column[int]:
    return sa.Column(name, KEY, nullable=False)


def _references(table: str, *names: str) -> list[sa.ForeignKeyConstraint]:
    return [
        sa.ForeignKeyConstraint(
            [name], ["products.id"], name=f"fk_{table}_{name}_products", ondelete="CASCADE"
        )
        for name in names
    ]


def downgrade() -> None:
    op.drop_table("product_days")
    op.drop_table("product_pairs")
    op.drop_index("ix_events_pending", "events")
    op.drop_index("ix_events_at", "events")
    with op.batch_alter_table("events") as events:
        events.drop_constraint("uq_events_event_id")
        for name in ("pending", "recommendation", "basket", "sku", "event_id"):
            events.drop_column(name)
