"""Lists are made ahead of the first shopper's."""

from __future__ import annotations

import pytest
from sqlalchemy import delete
from support.rows import make_products
from support.shop import Shop, four_products

from backend.database.engine import Database
from backend.database.models import Product
from backend.search.query import Answer, Query
from backend.search.similar import SimilarProducts
from backend.worker.first_lists import LISTS, FirstListsThread, some_skus

PATIENCE_SECONDS = 60  # for a busy machine; nothing here takes two


def made_ahead(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> dict[str, Answer]:
    """Run the thread, and return the lists that it has made, by sku."""
    made = {}
    to_product = SimilarProducts.to_product

    def noted(self: SimilarProducts, sku: str, query: Query) -> Answer:
        made[sku] = to_product(self, sku, query)
        return made[sku]

    monkeypatch.setattr(SimilarProducts, "to_product", noted)
    thread = FirstListsThread(shop.services.db, shop.services.similar)
    thread.start()
    assert thread.join(seconds=PATIENCE_SECONDS)
    return made


def test_lists_of_products_with_a_vector_are_made(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    four_products(shop)
    shop.put("without")  # it has no image, and so no vector
    made = made_ahead(shop, monkeypatch)
    assert len(made) == 4
    assert all(len(answer.items) == 3 for answer in made.values())


def test_an_empty_catalogue_ends_the_thread_alone(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert made_ahead(shop, monkeypatch) == {}


def test_the_lists_are_about_few_products_of_all_parts_of_the_catalogue(db: Database) -> None:
    ids = make_products(db, 10 * LISTS)
    db.write(lambda session: session.execute(delete(Product).where(Product.id.in_(ids[:100]))))
    skus = some_skus(db)
    numbers = [int(sku.removeprefix("s")) for sku in skus]
    assert len(set(numbers)) == len(numbers) == LISTS
    assert min(numbers) == 100
    assert max(numbers) >= 9 * LISTS


def test_few_products_are_all_taken(db: Database) -> None:
    make_products(db, 3)
    assert some_skus(db) == ["s0", "s1", "s2"]
