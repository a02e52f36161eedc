"""Packed pairs become rows again when the release before is to go on alone."""

from __future__ import annotations

import numpy as np
import sqlalchemy as sa
from alembic import command

from backend.database import migrate as migrating
from backend.database.engine import Database
from backend.events import partners


def test_a_downgrade_writes_a_row_for_each_pair(empty: Database) -> None:
    migrating.migrate(empty)
    packed = np.array([(2, 2.5, 3), (3, 0.5, 1)], partners.ROW).tobytes()
    with empty.engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO products (id, sku, in_stock, attributes, created_at, updated_at)"
                " SELECT id, 'p-' || id, true, '{}', '2026-01-01', '2026-01-01' FROM"
                " (SELECT 1 AS id UNION SELECT 2 UNION SELECT 3) AS ids"
            )
        )
        connection.execute(
            sa.text("INSERT INTO product_partners VALUES (1, :packed)"), {"packed": packed}
        )
        connection.execute(  # counted by the previous release meanwhile
            sa.text("INSERT INTO product_pairs VALUES (1, 2, 1.5, 1), (2, 1, 1.5, 1)")
        )
    with empty.engine.begin() as connection:
        command.downgrade(migrating.alembic_config(connection), "0030")
        rows = connection.execute(
            sa.text(
                "SELECT product_id, other_id, score, times FROM product_pairs"
                " ORDER BY product_id, other_id"
            )
        ).all()
        assert "product_partners" not in sa.inspect(connection).get_table_names()
    assert rows == [(1, 2, 4.0, 4), (1, 3, 0.5, 1), (2, 1, 1.5, 1)]
