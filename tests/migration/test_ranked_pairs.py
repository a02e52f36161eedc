"""The index of ranked pairs stands for the former one, also for the previous release."""

from __future__ import annotations

import sqlalchemy as sa

from backend.database import migrate as migrating
from backend.database.engine import Database

FORMER = (
    "SELECT a.product_id, a.other_id FROM (SELECT id, coalesce((SELECT score FROM product_pairs p"
    " WHERE p.product_id = products.id ORDER BY score DESC LIMIT 1 OFFSET 1), 0.0) AS least"
    " FROM products WHERE id IN (1, 2)) AS wanted JOIN product_pairs a ON a.product_id = wanted.id"
    " AND a.score >= wanted.least ORDER BY a.product_id, a.score DESC, a.other_id"
)
"""How the release before reads the two strongest pairs of two products."""


def test_pairs_stay_and_the_former_statement_reads_them(empty: Database) -> None:
    migrating.migrate(empty, revision="0029")
    with empty.engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO products (id, sku, in_stock, attributes, created_at, updated_at)"
                " SELECT id, 'p-' || id, true, '{}', '2026-01-01', '2026-01-01' FROM"
                " (SELECT 1 AS id UNION SELECT 2 UNION SELECT 3 UNION SELECT 4) AS ids"
            )
        )
        connection.execute(
            sa.text(
                "INSERT INTO product_pairs (product_id, other_id, score, times) VALUES"
                " (1, 2, 0.5, 1), (1, 3, 2.5, 4), (1, 4, 1.5, 2), (2, 1, 0.5, 1)"
            )
        )
        before = connection.execute(sa.text(FORMER)).all()
    migrating.migrate(empty)
    with empty.engine.begin() as connection:
        assert connection.execute(sa.text(FORMER)).all() == before
        columns = [it["column_names"] for it in sa.inspect(connection).get_indexes("product_pairs")]
    assert before == [(1, 3), (1, 4), (2, 1)]
    assert ["product_id", "score", "other_id"] in columns
    assert ["product_id", "score"] not in columns  # each write of a pair would change it too
