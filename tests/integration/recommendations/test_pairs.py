"""The strongest pairs of products are read by one statement, those of the release before too."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import insert
from sqlalchemy.orm import Session
from support.rows import traced

from backend.database.engine import Database
from backend.database.models import Product, ProductPair
from backend.events import partners
from backend.events.decay import growth
from backend.recommendations import pairs

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OTHERS = range(1, 131)


@pytest.fixture(params=["packed", "of the previous release", "some of both"])
def paired(any_db: Database, request: pytest.FixtureRequest) -> Database:
    """Product n goes with n others, each two of which go with it equally often."""
    rows = [
        {
            "product_id": product,
            "other_id": other,
            "score": (1 + other // 2) * growth(NOW),
            "times": other,
        }
        for product in OTHERS
        for other in range(1, product + 1)
    ]

    def write(session: Session) -> None:
        session.execute(insert(Product), [{"id": it, "sku": f"p-{it}"} for it in OTHERS])
        session.execute(insert(ProductPair), rows)

    any_db.write(write)
    if request.param != "of the previous release":
        while partners.move_some(any_db, limit=50) and request.param == "packed":
            pass
    return any_db


@pytest.mark.parametrize("products", [[7], [9, 1, 40, 3, 500], list(OTHERS)])
def test_the_strongest_pairs_of_each_product_are_read(
    paired: Database, products: list[int]
) -> None:
    with paired.query() as reader:
        rows = pairs.strongest(reader, products, now=NOW, most=10)
        by_product = pairs.partners(reader, products, now=NOW, most=10)
    expected = {
        product: {other: 1.0 + other // 2 for other in range(max(1, product - 9), product + 1)}
        for product in products
        if product in OTHERS
    }
    assert {it: pytest.approx(others) for it, others in by_product.items()} == expected
    found: dict[int, dict[int, float]] = {}
    for product, other, times in zip(*(it.tolist() for it in rows), strict=True):
        found.setdefault(product, {})[other] = pytest.approx(times)
    assert found == expected


def test_pairs_of_one_product_are_those_of_several(paired: Database) -> None:
    with paired.query() as reader:
        one = pairs.partners_of(reader, 40, now=NOW, most=15)
        assert one == pytest.approx(pairs.partners(reader, [40], now=NOW, most=15)[40])


def test_pairs_are_left_out_and_chosen_by_their_products(paired: Database) -> None:
    with paired.query() as reader:
        rows = pairs.strongest(reader, [3, 2], now=NOW)
    assert sorted(rows.of([3]).other.tolist()) == [1, 2, 3]
    assert rows.of([]).other.tolist() == []
    assert sorted(rows.without([1, 3, 1000]).other.tolist()) == [2, 2]
    assert len(rows.without(()).other) == 5


@pytest.mark.parametrize("paired", ["packed"], indirect=True)
def test_one_statement_reads_the_pairs_of_many_products(paired: Database) -> None:
    if not paired.is_sqlite:
        pytest.skip("only SQLite tells what it is asked past SQLAlchemy")
    with traced(paired) as told, paired.query() as reader:
        assert len(pairs.strongest(reader, list(OTHERS), now=NOW, most=10).other) > 1000
    assert len([it for it in told if "product_p" in it]) == 1
