"""No item contradicts the filter it was asked with, however far the index lags behind."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update
from support.image_files import colour_image
from support.shop import Shop

from backend.database.models import Product
from backend.search.collecting import SLACK
from backend.search.query import MAX_LIMIT
from backend.vectors import Hit, VectorIndex

URL = "/v1/products/0001/similar"

CHANGES: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"base_colour": "Green"}, {"base_colour": "Red"}),
    ({"base_colour": "Green"}, {"base_colour_not": "Green"}),
    ({"year": 2020}, {"year": "2012"}),
    ({"price": 99.0}, {"price_lte": "50"}),
    ({"price": None}, {"price_lte": "50"}),
    ({"in_stock": False}, {"in_stock": "true"}),
    ({"in_stock": False}, {"in_stock_not": "false"}),
    ({"gender": None}, {"gender": "Women,Men"}),
    ({"attributes": {"fit": "slim"}}, {"attributes.fit": "loose"}),
    ({"attributes": {"fit": "slim"}}, {"attributes.fit_not": "slim"}),
    ({"attributes": {"size": 42.5}}, {"attributes.size_not": "42.5"}),
]


@pytest.mark.parametrize(("change", "asked"), CHANGES, ids="-".join)
def test_what_has_changed_since_it_was_indexed_is_compared_as_it_is_now(
    wardrobe: Shop, change: dict[str, Any], asked: dict[str, str]
) -> None:
    assert "0002" in wardrobe.skus(URL, **asked)
    wardrobe.client.patch("/v1/products/0002", json=change)
    for answer in (
        wardrobe.client.get(URL, query_string=asked),
        wardrobe.client.post(
            "/v1/similar",
            query_string=asked,
            data=colour_image("#d02020"),
            content_type="image/png",
        ),
    ):
        assert "0002" not in [item["sku"] for item in answer.json["items"]]
        assert answer.json["meta"]["index_lags"]
    wardrobe.work()
    assert not wardrobe.client.get(URL, query_string=asked).json["meta"]["index_lags"]


def test_an_index_that_is_current_never_lags(wardrobe: Shop) -> None:
    for query in ({}, {"base_colour": "Red"}, {"limit": "1"}, {"min_score": "1"}):
        assert not wardrobe.client.get(URL, query_string=query).json["meta"]["index_lags"]


@pytest.fixture
def crowd(shop: Shop) -> Shop:
    """So many red products that the first request finds only those that turn blue, and a query."""
    shades = [f"#{200 - number:02x}0000" for number in range(4 * SLACK)]
    for number, shade in enumerate(["#ff0000", *shades]):
        shop.put(f"{number:03}", shade, base_colour="Red")
    shop.work()
    changed = [f"{number:03}" for number in range(1, 3 * SLACK)]
    shop.execute(update(Product).where(Product.sku.in_(changed)).values(base_colour="Blue"))
    return shop


def test_hits_that_do_not_pass_any_more_are_replaced(crowd: Shop) -> None:
    asked = {"base_colour": "Red", "limit": "5"}
    answer = crowd.client.get("/v1/products/000/similar", query_string=asked).json
    assert len(answer["items"]) == 5
    assert not answer["meta"]["index_lags"]
    assert {item["product"]["base_colour"] for item in answer["items"]} == {"Red"}
    scores = [item["score"] for item in answer["items"]]
    assert scores == sorted(scores, reverse=True)


def test_fewer_items_come_with_the_reason(crowd: Shop) -> None:
    asked = {"base_colour": "Red", "limit": str(MAX_LIMIT)}
    answer = crowd.client.get("/v1/products/000/similar", query_string=asked).json
    assert len(answer["items"]) == SLACK + 1
    assert answer["meta"]["index_lags"]


# --- what one answer costs -----------------------------------------------------------------------


def test_payloads_are_not_read_for_an_answer(
    wardrobe: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    index: VectorIndex = wardrobe.index
    hits: list[Hit] = []
    nearest = index.nearest

    def noted(*args: Any, **options: Any) -> list[Hit]:
        found = nearest(*args, **options)
        hits.extend(found)
        return found

    monkeypatch.setattr(index, "nearest", noted)
    assert wardrobe.skus(URL)
    assert hits
    assert not any(hit.payload for hit in hits)
    assert nearest(index.vector(hits[0].id), limit=1)[0].payload
