"""A sku of any characters can be written, read, searched and removed over REST."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from support.image_files import colour_image
from support.shop import Shop

from backend.api import create_app

SKUS = ["AB 12", "AB/12", "A+B", "Größe-42", "#77", "TEE(old)", "a/similar", "a/image", "similar"]
SKUS += ["100%", "a%2Fb", "../x", "?q=1", "A,B", "日本", "a//b", "[/x]", "/a", "a\\b", "x;y"]


@pytest.mark.parametrize("sku", SKUS)
def test_a_sku_is_one_segment_of_the_path(shop: Shop, sku: str) -> None:
    path = f"/v1/products/{quote(sku, safe='')}"
    made = shop.client.put(path, json={"sku": sku, "gender": "Men"})
    assert (made.status_code, made.json["sku"]) == (201, sku)
    assert shop.client.get(made.headers["Location"]).json["sku"] == sku
    assert shop.client.put(f"{path}/image", data=colour_image("red")).status_code == 201
    assert shop.client.get(f"{path}/image").status_code == 200
    assert shop.client.get(f"{path}/similar").status_code in (200, 409, 503), "it was found"
    assert shop.client.patch(path, json={"gender": "Women"}).json["gender"] == "Women"
    assert shop.client.delete(path).status_code == 204


def test_a_decomposed_sku_is_the_composed_one(shop: Shop) -> None:
    shop.client.put("/v1/products/Gr%C3%B6%C3%9Fe", json={})
    assert shop.client.get("/v1/products/Gro%CC%88%C3%9Fe").json["sku"] == "Größe"


@pytest.mark.parametrize("path", ["a%00b", "a%00b/similar", "a%00b/image", "%ED%A0%80", "%FF"])
def test_what_no_database_can_hold_is_refused(shop: Shop, path: str) -> None:
    for method in ("get", "put", "patch", "delete"):
        refused = getattr(shop.client, method)(f"/v1/products/{path}", json={})
        assert refused.status_code in (404, 405, 415, 422, 503)


def test_without_the_path_as_it_was_sent_a_sku_without_slashes_is_read(shop: Shop) -> None:
    """Some servers do not keep it; a proxy may have changed it."""
    app = create_app(shop.services)
    shop.client.put("/v1/products/A%20B", json={})
    client = app.test_client()
    for raw in ({}, {"RAW_URI": "/other", "REQUEST_URI": "http://h"}):
        environ = {"RAW_URI": "", "REQUEST_URI": "", **raw}
        found = client.get("/v1/products/A%20B", environ_overrides=environ)
        assert found.json["sku"] == "A B"


def test_below_a_prefix_a_slash_is_kept(shop: Shop) -> None:
    shop.client.put("/v1/products/a%2Fb", json={})
    environ = {"SCRIPT_NAME": "/shop", "RAW_URI": "/shop/v1/products/a%2Fb?fields=sku"}
    found = shop.client.get("/v1/products/a%2Fb?fields=sku", environ_overrides=environ)
    assert found.json == {"sku": "a/b"}
