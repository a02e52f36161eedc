"""`GET /v1/products` with `q` and `sort`: words, orders, and cursors that keep to an order."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from support.shop import PROBLEM, Shop

from backend.catalogue.ordered_products import Order


def all_pages(shop: Shop, **query: Any) -> list[str]:
    """The skus of all pages of two products."""
    found: list[str] = []
    while True:
        page = shop.client.get("/v1/products", query_string={"limit": 2, **query}).json
        found += [it["sku"] for it in page["items"]]
        if page["next_cursor"] is None:
            return found
        query["cursor"] = page["next_cursor"]


@pytest.mark.parametrize(
    ("sort", "skus"),
    [
        ("added", "0001 0002 0003 0004 0005"),
        ("-added", "0005 0004 0003 0002 0001"),
        ("-sku", "0005 0004 0003 0002 0001"),
        ("price", "0001 0002 0003 0005 0004"),
        ("-price", "0005 0003 0002 0001 0004"),
        ("-year", "0004 0003 0002 0001 0005"),
        ("display_name", "0001 0002 0003 0004 0005"),
    ],
)
def test_pages_follow_the_order(wardrobe: Shop, sort: str, skus: str) -> None:
    assert all_pages(wardrobe, sort=sort) == skus.split()


def test_words_filters_states_and_an_order_go_together(wardrobe: Shop) -> None:
    assert all_pages(wardrobe, q="SHÏRT 000") == ["0001", "0002", "0003", "0004", "0005"]
    assert all_pages(wardrobe, q="shirt", sort="-price", in_stock="true") == [
        *("0005", "0002", "0001", "0004")
    ]
    assert all_pages(wardrobe, q="0003", state="indexed") == ["0003"]
    assert all_pages(wardrobe, q="0003", state="pending") == []
    assert all_pages(wardrobe, q="shirt trousers") == []


@pytest.mark.parametrize("words", ["", "  ", "x" * 101, "a b c d e f g h i", "a\0b"])
def test_words_that_cannot_be_searched_for_are_named(wardrobe: Shop, words: str) -> None:
    refused = wardrobe.client.get("/v1/products", query_string={"q": words})
    assert (refused.status_code, refused.mimetype) == (422, PROBLEM)
    assert refused.json["errors"][0]["parameter"] == "q"


def test_an_unknown_order_is_refused_with_the_known_ones(wardrobe: Shop) -> None:
    refused = wardrobe.client.get("/v1/products?sort=colour").json
    assert "allowed are added, -added, sku" in refused["errors"][0]["detail"]


def cursor(*parts: object) -> str:
    return urlsafe_b64encode(":".join(map(str, parts)).encode()).decode().rstrip("=")


@pytest.mark.parametrize("order", list(Order))
@pytest.mark.parametrize(
    "value",
    [
        *("", "x", "[1]", "{}", "true", "NaN", "1e999", "9" * 1000, "[" * 1900, '"\\ud800"'),
        *('"\\u0000"', json.dumps("x" * 129)),
    ],
)
def test_a_made_up_cursor_is_refused(wardrobe: Shop, order: Order, value: str) -> None:
    query = {"sort": order.value, "cursor": cursor("products", order, 1, value)}
    refused = wardrobe.client.get("/v1/products", query_string=query)
    assert (refused.status_code, refused.json["errors"][0]["code"]) == (422, "invalid-cursor")


def test_a_cursor_belongs_to_its_order(wardrobe: Shop) -> None:
    first = wardrobe.client.get("/v1/products?limit=2&sort=price").json["next_cursor"]
    for sort in ("added", "-price", "year"):
        query = {"sort": sort, "cursor": first}
        refused = wardrobe.client.get("/v1/products", query_string=query)
        assert refused.status_code == 422
        assert refused.json["errors"][0]["parameter"] == "cursor"
    plain = wardrobe.client.get("/v1/products?limit=2").json["next_cursor"]
    assert plain == wardrobe.client.get("/v1/products?limit=2&sort=added").json["next_cursor"]


def test_a_page_in_order_is_answered_304_to_its_tag(wardrobe: Shop) -> None:
    first = wardrobe.client.get("/v1/products?sort=-price&q=shirt")
    headers = {"If-None-Match": first.headers["ETag"]}
    again = wardrobe.client.get("/v1/products?sort=-price&q=shirt", headers=headers)
    assert again.status_code == 304
