"""The migration to popularity adds up the days that were counted before."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from backend.database import migrate as migrating
from backend.database.engine import Database
from backend.database.models import ProductPopularity
from backend.events.decay import TRENDING, day_of
from backend.recommendations import popularity

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_database_of_the_former_release_keeps_what_was_popular(empty: Database) -> None:
    migrating.migrate(empty, revision="0020")
    today = day_of(NOW)
    with empty.engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO products (id, sku, in_stock, attributes, created_at, updated_at)"
                " VALUES (1, 'a', true, '{}', '2026-01-01', '2026-01-01'),"
                " (2, 'b', true, '{}', '2026-01-01', '2026-01-01')"
            )
        )
        connection.execute(
            sa.text(
                "INSERT INTO product_days (day, product_id, score, events)"
                " VALUES (:today, 1, 0.6, 2), (:before, 1, 1.0, 1), (:before, 2, 1.0, 1)"
            ),
            {"today": today, "before": today - 30},
        )
    migrating.migrate(empty)
    with empty.query() as reader:
        first, second = popularity.most_liked(reader, now=NOW)
        assert (first.product_id, second.product_id) == (1, 2)
        assert first.score == pytest.approx(0.6 + second.score)
    with empty.read() as session:
        row = session.get_one(ProductPopularity, 1)
        assert row.last_day == today
        assert TRENDING.amount(row.trending, NOW) == pytest.approx(0.6, abs=1e-3)
