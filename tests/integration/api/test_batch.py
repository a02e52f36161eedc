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


# --- patch ---------------------------------------------------------------------------------------


def answer(client: FlaskClient, what: str, **body: Any) -> Any:
    response = client.post(f"/v1/products:{what}", json=body)
    assert response.status_code == 200, response.text
    return response.json


def test_a_patch_of_many_changes_the_named_fields_alone(shop: Shop) -> None:
    for sku in "12":
        shop.put(sku, price=1, in_stock=False, attributes={"fit": "slim", "size": 3})
    items = [
        {"sku": "1", "price": 2},
        {"sku": "nobody", "price": 2},
        {"sku": "2", "attributes": {"fit": None}},
        {"sku": "2", "price": "3"},
        {"price": 3},
    ]
    found = answer(shop.client, "patch", items=items)["items"]
    assert [(it["sku"], it["status"]) for it in found] == [
        ("1", 200),
        ("nobody", 404),
        ("2", 200),
        ("2", 422),
        (None, 422),
    ]
    assert found[1]["problem"]["code"] == "unknown-product"
    assert shop.client.get("/v1/products/nobody").status_code == 404
    first, second = (shop.client.get(f"/v1/products/{sku}").json for sku in "12")
    assert (first["price"], first["in_stock"], first["attributes"]["fit"]) == (2, False, "slim")
    assert (second["price"], second["attributes"]) == (1, {"size": 3})


def test_a_removed_product_is_not_patched(shop: Shop) -> None:
    shop.put("1", price=1)
    shop.client.delete("/v1/products/1")
    (item,) = answer(shop.client, "patch", items=[{"sku": "1", "price": 2}])["items"]
    assert item["status"] == 404


# --- delete and read -----------------------------------------------------------------------------


def test_many_are_removed_and_the_unknown_are_named(shop: Shop) -> None:
    for sku in "123":
        shop.put(sku)
    found = answer(shop.client, "delete", skus=["1", "nobody", "2"])["items"]
    assert [(it["sku"], it["status"]) for it in found] == [("1", 204), ("nobody", 404), ("2", 204)]
    assert found[1]["problem"]["code"] == "unknown-product"
    assert shop.skus("/v1/products") == ["3"]


def test_many_are_read_in_the_order_of_the_request(wardrobe: Shop) -> None:
    skus = ["0004", "nobody", "0001", "0004"]
    found = answer(wardrobe.client, "read", skus=skus, fields=["gender", "state"])
    assert found == {
        "items": [
            {"sku": "0004", "gender": "Men", "state": "indexed"},
            {"sku": "0001", "gender": "Women", "state": "indexed"},
        ],
        "unknown": ["nobody"],
    }
    whole = answer(wardrobe.client, "read", skus=["0001"])["items"]
    assert whole == [wardrobe.client.get("/v1/products/0001").json]


@pytest.mark.parametrize("what", ["delete", "read"])
def test_skus_beyond_the_limit_are_refused(client: FlaskClient, what: str) -> None:
    refused = client.post(f"/v1/products:{what}", json={"skus": list("123456")})
    assert refused.status_code == 422
    assert refused.json["errors"][0]["pointer"] == "/skus"
