"""How texts map to the vectors of an embedder.

Revision ID: 0016
Revises: 0015
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "word_alignments",
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("alignment", sa.LargeBinary(), nullable=False),
        sa.Column("quality", sa.JSON(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", name="pk_word_alignments"),
    )


def downgrade() -> None:
    op.drop_table("word_alignments")
