"""Entity tags, conditional writes, and answers that are compressed."""

from __future__ import annotations

import gzip
import json
import time
from typing import Any

import pytest
from flask.testing import FlaskClient
from support.image_files import colour_image
from support.shop import PROBLEM, Shop

from backend.api.conditional import SHORTEST, revision_of
from backend.catalogue import product_images, products

URL = "/v1/products/1"


def tag_of(client: FlaskClient) -> str:
    """The tag of the product as it is now."""
    return client.get(URL).headers["ETag"]


# --- reads ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", [URL, "/v1/products", "/v1/facets", "/v1/products/1?fields=price"])
def test_what_a_client_has_is_not_sent_again(wardrobe: Shop, url: str) -> None:
    url = url.replace("/1", "/0001")
    first = wardrobe.client.get(url)
    again = wardrobe.client.get(url, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert "Content-Type" not in again.headers
    other = wardrobe.client.get(url, headers={"If-None-Match": '"other"'})
    assert (other.status_code, other.json) == (200, first.json)


def test_a_read_that_may_be_answered_304_says_so_in_the_description(wardrobe: Shop) -> None:
    described = wardrobe.client.get("/openapi.json").json["paths"]
    for path in ("/v1/status", "/v1/admin/jobs", "/v1/users/ann/recommendations"):
        answer = wardrobe.client.get(path, headers={"If-None-Match": "*"})
        assert answer.status_code == 304
        read = described[path.replace("ann", "{user}")]["get"]
        assert "304" in read["responses"]
        assert {"$ref": "#/components/parameters/IfChanged"} in read["parameters"]


@pytest.mark.parametrize("path", ["products/0001/similar", "new-products", "trending"])
def test_a_list_has_a_weak_tag_that_holds_until_it_changes(wardrobe: Shop, path: str) -> None:
    url = f"/v1/{path}?limit=3"
    first = wardrobe.client.get(url)
    tag = first.headers["ETag"]
    assert tag.startswith('W/"')
    compressed = wardrobe.client.get(url, headers={"Accept-Encoding": "gzip"})
    assert compressed.headers["ETag"] == tag
    again = wardrobe.client.get(url, headers={"If-None-Match": tag})
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", tag)
    other = wardrobe.client.get(f"{url}&fields=price", headers={"If-None-Match": tag})
    assert other.status_code == 200 or not first.json["items"]


def test_what_is_trending_has_the_same_tag_for_a_minute(wardrobe: Shop) -> None:
    bought = {"kind": "purchase", "sku": "0001", "user": "ann"}
    assert wardrobe.client.post("/v1/events", json=bought).status_code == 200
    wardrobe.work()
    tags = set()
    for _ in range(3):
        answer = wardrobe.client.get("/v1/trending")
        assert [it["sku"] for it in answer.json["items"]] == ["0001"]
        tags.add(answer.headers["ETag"])
        time.sleep(0.5)  # without that, its score falls by two millionths in this time
    assert len(tags) <= 2, "a minute may end meanwhile, but not two"


def test_a_read_sees_a_change_of_state_and_a_write_does_not_mind_it(shop: Shop) -> None:
    shop.put("1", "red", price=1)
    pending = tag_of(shop.client)
    shop.work()
    assert shop.client.get(URL, headers={"If-None-Match": pending}).json["state"] == "indexed"
    kept = shop.client.patch(URL, json={"price": 2}, headers={"If-Match": pending})
    assert kept.status_code == 200


# --- writes --------------------------------------------------------------------------------------


WRITES: dict[str, dict[str, Any]] = {
    "put": {"method": "PUT", "json": {"price": 3}},
    "patch": {"method": "PATCH", "json": {"price": 3}},
    "delete": {"method": "DELETE"},
    "put-image": {
        "path": f"{URL}/image",
        "method": "PUT",
        "data": colour_image("blue"),
        "content_type": "image/png",
    },
    "delete-image": {"path": f"{URL}/image", "method": "DELETE"},
}


@pytest.mark.parametrize("name", WRITES)
def test_a_write_by_one_who_has_not_seen_the_last_change_is_refused(shop: Shop, name: str) -> None:
    shop.put("1", "red", price=1)
    read = tag_of(shop.client)
    changed = shop.client.patch(URL, json={"price": 2}).headers["ETag"]
    before = shop.client.get(URL).json
    sent = {"path": URL, **WRITES[name]}
    refused = shop.client.open(**sent, headers={"If-Match": read})
    assert (refused.status_code, refused.content_type) == (412, PROBLEM)
    assert refused.json["code"] == "precondition-failed"
    assert shop.client.get(URL).json == before, "nothing was written"
    stored = shop.client.open(**sent, headers={"If-Match": f'"other", {changed}'})
    assert stored.status_code < 300, stored.text


def test_the_tag_of_a_write_serves_for_the_next_one(client: FlaskClient) -> None:
    tag = client.put(URL, json={"price": 1}).headers["ETag"]
    for price in (2, 3):
        stored = client.patch(URL, json={"price": price}, headers={"If-Match": tag})
        assert stored.status_code == 200
        assert stored.headers["ETag"] != tag
        tag = stored.headers["ETag"]
    assert tag == tag_of(client)


def test_only_a_new_product_is_put_if_none_may_match(client: FlaskClient) -> None:
    new = {"If-None-Match": "*"}
    assert client.put(URL, json={"price": 1}, headers=new).status_code == 201
    refused = client.put(URL, json={"price": 2}, headers=new)
    assert (refused.status_code, refused.json["code"]) == (412, "precondition-failed")
    assert client.get(URL).json["price"] == 1
    client.delete(URL)
    assert client.put(URL, json={"price": 3}, headers=new).status_code == 201


TAGS = ['"0123456789abcdef-x"', '""', "", "garbage"]


@pytest.mark.parametrize("condition", ["*", *TAGS])
def test_what_is_not_there_matches_nothing(client: FlaskClient, condition: str) -> None:
    refused = client.put(URL, json={}, headers={"If-Match": condition})
    assert refused.status_code == 412
    assert client.get(URL).status_code == 404


@pytest.mark.parametrize("condition", TAGS)
def test_another_tag_matches_no_product(client: FlaskClient, condition: str) -> None:
    client.put(URL, json={"price": 1})
    assert client.delete(URL, headers={"If-Match": condition}).status_code == 412
    assert client.get(URL, headers={"If-None-Match": condition}).status_code == 200


def test_any_product_matches_a_star(client: FlaskClient) -> None:
    client.put(URL, json={})
    assert client.patch(URL, json={"price": 1}, headers={"If-Match": "*"}).status_code == 200


def test_all_keys_see_the_same_revision(shop: Shop) -> None:
    shop.save_in_place("1", colour_image("red"), price=1.0)
    with shop.app.test_request_context(), shop.db.read() as session:
        product = products.get(session, "1")
        revision = revision_of(product, product_images.load_all(session, [product])[product.id])
    assert tag_of(shop.client).startswith(f'"{revision}-')


# --- compression ---------------------------------------------------------------------------------


def test_long_answers_are_compressed_where_the_client_can_read_them(wardrobe: Shop) -> None:
    plain = wardrobe.client.get("/v1/products")
    packed = wardrobe.client.get("/v1/products", headers={"Accept-Encoding": "br, gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain.data
    assert int(packed.headers["Content-Length"]) == len(packed.data) < len(plain.data) / 2
    for answer in (plain, packed):
        assert "Accept-Encoding" in answer.headers["Vary"]
    assert packed.headers["ETag"] != plain.headers["ETag"]
    for tag in (packed.headers["ETag"], plain.headers["ETag"]):
        again = wardrobe.client.get("/v1/products", headers={"If-None-Match": tag})
        assert again.status_code == 304


def test_problems_are_compressed_too(client: FlaskClient) -> None:
    body = {f"unknown{number}": 1 for number in range(50)}
    refused = client.put(URL, json=body, headers={"Accept-Encoding": "gzip"})
    assert refused.status_code == 422
    assert json.loads(gzip.decompress(refused.data))["code"] == "invalid-product"


@pytest.mark.parametrize("accepted", ["identity", "gzip;q=0", "br"])
def test_a_client_that_takes_no_gzip_gets_none(wardrobe: Shop, accepted: str) -> None:
    answer = wardrobe.client.get("/v1/products", headers={"Accept-Encoding": accepted})
    assert "Content-Encoding" not in answer.headers


def test_short_answers_and_images_are_sent_as_they_are(wardrobe: Shop) -> None:
    accepts = {"Accept-Encoding": "gzip"}
    short = wardrobe.client.get("/livez", headers=accepts)
    assert len(short.data) < SHORTEST
    image = wardrobe.client.get("/v1/products/0001/image", headers=accepts)
    assert not {"Content-Encoding"} & {*short.headers.keys(), *image.headers.keys()}


def test_a_compressed_answers_tag_serves_for_a_write(wardrobe: Shop) -> None:
    url = "/v1/products/0001"
    wardrobe.client.patch(url, json={"attributes": {"text": "long " * 300}})
    packed = wardrobe.client.get(url, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    tag = {"If-Match": packed.headers["ETag"]}
    assert wardrobe.client.patch(url, json={"price": 11}, headers=tag).status_code == 200
