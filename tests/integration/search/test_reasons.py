"""Why a list is as it is: shared values, places in a category, and what was left out."""

from __future__ import annotations

from typing import Any

import pytest
from support.image_files import colour_image
from support.shop import Shop

from backend.search import reasons

KINDS = {
    "shirt-1": ("#d02020", "Shirts", "Men", {"fit": "slim", "size": 40, "tags": ["a"]}),
    "shirt-2": ("#d02424", "Shirts", "Men", {"fit": "slim", "size": 41, "tags": ["a"]}),
    "shirt-3": ("#d03030", "Shirts", "Women", {"fit": "loose", "size": 40}),
    "shirt-4": ("#d04040", "Shirts", "Men", {}),
    "jeans-1": ("#d02828", "Jeans", "Men", {"fit": "slim"}),
    "jeans-2": ("#2020d0", "Jeans", "Women", {}),
    "plain": ("#d05050", None, None, {}),
}
PRODUCT = "/v1/products/shirt-1/similar"


@pytest.fixture
def kinds(shop: Shop) -> Shop:
    for sku, (colour, kind, gender, attributes) in KINDS.items():
        shop.put(sku, colour, article_type=kind, gender=gender, attributes=attributes)
    shop.work()
    return shop


def explained(shop: Shop, url: str = PRODUCT, **query: Any) -> Any:
    answer = shop.client.get(url, query_string={"explain": "true", **query})
    assert answer.status_code == 200, answer.text
    return answer.json


def test_an_item_says_what_it_shares_with_the_query_product(kinds: Shop) -> None:
    items = explained(kinds)["items"]
    shared = {item["sku"]: item["explain"]["shared"] for item in items}
    assert shared == {
        "shirt-2": {"gender": "Men", "article_type": "Shirts", "attributes.fit": "slim"},
        "jeans-1": {"gender": "Men", "attributes.fit": "slim"},
        "shirt-3": {"article_type": "Shirts", "attributes.size": 40},
        "shirt-4": {"gender": "Men", "article_type": "Shirts"},
        "plain": {},
        "jeans-2": {},
    }


def test_an_item_has_a_place_in_its_category_whatever_the_filter(kinds: Shop) -> None:
    items = explained(kinds, gender="Women")["items"]
    assert {item["sku"]: item["explain"]["category"] for item in items} == {
        "shirt-3": {
            "field": "article_type",
            "value": "Shirts",
            "place": 2,
            "products": 3,
            "percentile": 50.0,
        },
        "jeans-2": {
            "field": "article_type",
            "value": "Jeans",
            "place": 2,
            "products": 2,
            "percentile": 0.0,
        },
    }
    everything = explained(kinds)["items"]
    assert everything[0]["explain"]["category"]["percentile"] == 100.0
    (plain,) = [item for item in everything if item["sku"] == "plain"]
    assert "category" not in plain["explain"]


def test_an_item_beyond_the_nearest_products_has_a_place_too(
    kinds: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {}
    for looked_at in (200, 3):
        monkeypatch.setattr(reasons, "LOOKED_AT", looked_at)
        items = explained(kinds, gender="Women")["items"]
        places[looked_at] = {item["sku"]: item["explain"]["category"] for item in items}
    assert places[3] == places[200]
    monkeypatch.setattr(reasons, "LOOKED_AT", 1)
    [*_, last] = explained(kinds, gender="Women")["items"]
    assert (last["sku"], "category" in last["explain"]) == ("jeans-2", False)


def test_the_answer_says_which_clauses_left_nearer_products_out(kinds: Shop) -> None:
    whole = explained(kinds, limit=2)["meta"]["left_out"]
    assert whole == {"looked_at": 2, "clauses": []}
    strict = explained(kinds, limit=1, gender="Women", **{"attributes.fit": "loose"})
    assert [item["sku"] for item in strict["items"]] == ["shirt-3"]
    assert strict["meta"]["left_out"] == {
        "looked_at": 3,
        "clauses": [
            {"clause": "gender", "products": 2},
            {"clause": "attributes.fit", "products": 2},
        ],
    }
    restricted = explained(kinds, restrict="article_type", exclude="shirt-2")
    assert restricted["meta"]["left_out"] == {
        "looked_at": 5,
        "clauses": [{"clause": "article_type", "products": 3}],
    }


def test_a_query_by_an_image_shares_nothing_and_has_places(kinds: Shop) -> None:
    answer = kinds.client.post(
        "/v1/similar?explain=true&limit=1&gender=Women",
        data=colour_image("#d02020"),
        content_type="image/png",
    )
    (item,) = answer.json["items"]
    assert "shared" not in item["explain"]
    assert (item["explain"]["category"]["place"], item["explain"]["category"]["products"]) == (3, 4)
    assert answer.json["meta"]["left_out"]["clauses"] == [{"clause": "gender", "products": 3}]


def test_without_explain_nothing_of_this_is_read(kinds: Shop) -> None:
    answer = kinds.client.get(PRODUCT).json
    assert "left_out" not in answer["meta"]
    assert all("explain" not in item for item in answer["items"])
