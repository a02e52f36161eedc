"""`/v1/products:batch`: every item has a result of its own."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient
from support.shop import Shop

URL = "/v1/products:batch"


def results(client: FlaskClient, *items: Any) -> list[dict[str, Any]]:
    response = client.post(URL, json={"items": items})
    assert response.status_code == 200, response.text
    return list(response.json["items"])


def test_items_are_stored_as_by_a_put_of_their_own(shop: Shop) -> None:
    shop.put("2", year=2010, gender="Men")
    found = results(shop.client, {"sku": "1", "year": 2011}, {"sku": "2", "year": 2012})
    assert found == [{"sku": "1", "status": 201}, {"sku": "2", "status": 200}]
    read = shop.client.get("/v1/products/2").json
    assert (read["year"], read["gender"]) == (2012, None), "a complete product, as in a PUT"


def test_one_bad_item_never_fails_the_rest(client: FlaskClient) -> None:
    found = results(
        client,
        {"sku": "a", "year": "2012", "colour": "red"},
        {"sku": "b"},
        {"year": 2012},
        "no object",
        {"sku": "c", "image_uri": "file:///etc/passwd"},
    )
    assert [(item["sku"], item["status"]) for item in found] == [
        ("a", 422),
        ("b", 201),
        (None, 422),
        (None, 422),
        ("c", 422),
    ]
    problem = found[0]["problem"]
    assert (problem["status"], problem["code"]) == (422, "invalid-product")
    assert [fault["pointer"] for fault in problem["errors"]] == ["/year", "/colour"]
    assert found[2]["problem"]["errors"][0]["pointer"] == "/sku"
    assert found[4]["problem"]["errors"][0]["pointer"] == "/image_uri"
    assert client.get("/v1/products/b").status_code == 200
    assert client.get("/v1/products/c").status_code == 404


@pytest.mark.parametrize("sku", [None, 1, 1.5, True, [], {}], ids=repr)
def test_a_sku_that_is_no_text_is_the_fault_of_its_item_alone(
    client: FlaskClient, sku: Any
) -> None:
    refused, stored = results(client, {"sku": sku}, {"sku": "b"})
    assert (refused["sku"], refused["status"]) == (None, 422)
    assert [fault["pointer"] for fault in refused["problem"]["errors"]] == ["/sku"]
    assert stored == {"sku": "b", "status": 201}


def test_of_several_items_with_one_sku_the_last_counts(client: FlaskClient) -> None:
    first, second = results(client, {"sku": "1", "year": 2011}, {"sku": "1", "year": 2012})
    assert (first["status"], second["status"]) == (422, 201)
    assert "again later" in first["problem"]["detail"]
    assert client.get("/v1/products/1").json["year"] == 2012


def test_an_unchanged_item_is_200_and_requests_nothing(wardrobe: Shop) -> None:
    read = wardrobe.client.get("/v1/products/0001").json
    assert results(wardrobe.client, read) == [{"sku": "0001", "status": 200}]
    assert wardrobe.skus("/v1/products", state="pending") == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"items": {}},
        {"items": [], "dry_run": True},
        {"items": [{"sku": str(i)} for i in range(6)]},
    ],
)
def test_a_batch_that_is_none_or_too_large_is_422(client: FlaskClient, body: Any) -> None:
    refused = client.post(URL, json=body)
    assert refused.status_code == 422
    assert refused.json["errors"][0]["pointer"] in ("/items", "/dry_run")


def test_a_batch_of_the_largest_size_is_taken(client: FlaskClient) -> None:
    assert len(results(client, *({"sku": str(i)} for i in range(5)))) == 5
    assert results(client) == []
