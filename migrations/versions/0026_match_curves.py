"""The curve of a generation that tells from a score how probable the same kind is.

Revision ID: 0026
Revises: 0025
"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "generations", sa.Column("match_curve", sa.JSON(none_as_null=True), nullable=True)
    )
    op.add_column("generations", sa.Column("match_version", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("generations", "match_version")
    op.drop_column("generations", "match_curve")
