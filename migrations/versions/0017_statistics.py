"""Statistics of a shop's images, and the features that they are fitted to.

Revision ID: 0017
Revises: 0016
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "statistics",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.add_column("generations", sa.Column("features", sa.String(64), nullable=True))


def downgrade() -> None:
    op.drop_column("generations", "features")
    op.drop_table("statistics")
