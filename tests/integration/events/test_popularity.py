"""Popularity is kept as one number for each product: counted once, and read by an index."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
import sqlalchemy as sa
from sqlalchemy import delete
from sqlalchemy.orm import Session

from backend.database.engine import Database
from backend.database.models import Product, ProductDay, ProductPopularity
from backend.events import counting, record
from backend.events.decay import POPULAR
from backend.events.kinds import STRENGTH, Kind
from backend.events.record import NewEvent
from backend.recommendations import popularity

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PRODUCTS = 12


@pytest.fixture
def shop(any_db: Database) -> Database:
    any_db.write(
        lambda session: session.add_all(
            Product(id=n, sku=f"p-{n}", article_type=f"type {n % 2}") for n in range(1, PRODUCTS)
        )
    )
    return any_db


def count(db: Database, *events: NewEvent) -> None:
    def work(session: Session) -> None:
        checked = [record.with_checked_time(it, now=NOW, days=365) for it in events]
        record.record(session, checked, now=NOW)

    db.write(work)
    while counting.count_some(db, limit=7):
        pass


def view(product: int, *, ago: timedelta, kind: Kind = Kind.VIEW) -> NewEvent:
    return NewEvent(kind=kind, sku=f"p-{product}", user=f"u-{ago}", at=NOW - ago)


def popular(db: Database) -> dict[int, float]:
    with db.query() as reader:
        return {it[0]: it[1] for it in popularity.most_liked(reader, now=NOW)}


def test_it_is_the_sum_of_what_was_done_with_a_product(shop: Database) -> None:
    random = Random(3)
    events = [
        view(
            random.randrange(1, PRODUCTS),
            ago=timedelta(hours=hour),
            kind=random.choice(list(STRENGTH)),
        )
        for hour in range(60)
    ]
    count(shop, *events)
    sums: dict[int, float] = {}
    for it in events:
        product = int(it.sku.removeprefix("p-"))
        weight = 2 ** (-((NOW - (it.at or NOW)) / POPULAR.half_life))
        sums[product] = sums.get(product, 0.0) + STRENGTH[it.kind] * weight
    found = popular(shop)
    assert found == pytest.approx(sums)
    assert list(found) == sorted(found, key=lambda it: -found[it])


def test_an_answer_adds_up_no_days(shop: Database) -> None:
    count(shop, view(1, ago=timedelta(hours=1)), view(1, ago=timedelta(days=2)))
    shop.write(lambda session: session.execute(delete(ProductDay)))
    assert list(popular(shop)) == [1]


def test_a_product_leaves_the_trend_after_a_while(shop: Database) -> None:
    count(
        shop,
        view(1, ago=timedelta(days=15)),
        view(2, ago=timedelta(days=13)),
        view(3, ago=timedelta(days=15), kind=Kind.PURCHASE),
        view(4, ago=timedelta(days=95)),
    )
    with shop.query() as reader:
        found = popularity.trending(reader, now=NOW)
        known = popularity.known(reader, range(1, PRODUCTS), now=NOW)
    assert [(it.product_id, it.article_type) for it in found] == [(3, "type 1"), (2, "type 0")]
    assert 4 not in popular(shop)
    assert known == {1, 2, 3}


def test_removed_products_are_left_out_and_deleted_ones_leave_nothing(shop: Database) -> None:
    count(shop, *[view(n, ago=timedelta(hours=n)) for n in (1, 2, 3)])
    removed = sa.update(Product).where(Product.id == 1).values(removed_at=NOW)
    shop.write(lambda session: session.execute(removed))
    shop.write(lambda session: session.execute(delete(Product).where(Product.id == 2)))
    assert set(popular(shop)) == {3}
    with shop.read() as session:
        assert session.get(ProductPopularity, 2) is None
