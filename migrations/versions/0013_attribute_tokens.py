"""Whether the points of a generation hold the tokens of their open attributes.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("generations", sa.Column("attribute_tokens", sa.Boolean(), nullable=True))


def downgrade() -> None:
    op.drop_column("generations", "attribute_tokens")
