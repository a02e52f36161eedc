"""What a product belongs to and where it is sold: variant group, brand and link.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("products", sa.Column("group_id", sa.String(255), nullable=True))
    op.add_column("products", sa.Column("brand", sa.String(255), nullable=True))
    op.add_column("products", sa.Column("link", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("products", "link")
    op.drop_column("products", "brand")
    op.drop_column("products", "group_id")
