"""An index that holds all that lists read of pairs, in their order.

It begins with the columns of the former one, so the statements of the previous release use it too.

Revision ID: 0030
Revises: 0029
"""

from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    columns = ["product_id", "score", "other_id"]
    op.create_index("ix_product_pairs_ranked", "product_pairs", columns)
    op.drop_index("ix_product_pairs_strongest", "product_pairs")


def downgrade() -> None:
    op.create_index("ix_product_pairs_strongest", "product_pairs", ["product_id", "score"])
    op.drop_index("ix_product_pairs_ranked", "product_pairs")
