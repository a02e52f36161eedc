"""`images` of a product: a list in documents, and one route for each image."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from support.image_files import colour_image
from support.shop import Shop

from backend.catalogue.products import ImageRef

HOST = "https://images.example/"


def uris(document: Any) -> list[str]:
    return [image["uri"].removeprefix(HOST) for image in document["images"]]


def given(*names: str) -> list[dict[str, str]]:
    return [{"uri": HOST + name} for name in names]


def in_base64(colour: str) -> str:
    return base64.b64encode(colour_image(colour)).decode()


def put_image(shop: Shop, number: int | str, colour: str) -> Any:
    data = colour_image(colour)
    return shop.client.put(f"/v1/products/1/images/{number}", data=data, content_type="image/png")


def write_back(shop: Shop, document: Any) -> Any:
    written = shop.client.put("/v1/products/1", json=document)
    assert written.status_code == 200, written.text
    return written.json


def test_images_are_kept_in_order_and_the_first_is_the_old_field(shop: Shop) -> None:
    stored = shop.put("1", images=given("a", "b", "c")).json
    assert uris(stored) == ["a", "b", "c"]
    assert stored["image_uri"] == HOST + "a"
    assert shop.client.get("/v1/products/1").json == stored
    assert uris(shop.client.get("/v1/products").json["items"][0]) == ["a", "b", "c"]


def test_what_was_read_can_be_written_back(shop: Shop) -> None:
    stored = shop.put("1", images=[*given("a"), {"upload": in_base64("red"), "role": "back"}]).json
    assert stored["images"][1]["role"] == "back"
    assert stored["images"][1]["uri"] == f"store://{stored['images'][1]['digest']}"
    before = shop.history()
    assert write_back(shop, stored) == stored
    assert shop.history() == before


def test_images_that_are_not_named_stay_and_an_empty_list_removes_them(shop: Shop) -> None:
    shop.put("1", images=given("a", "b"))
    assert uris(shop.put("1", gender="Men").json) == ["a", "b"]
    assert uris(shop.client.patch("/v1/products/1", json={"year": 2012}).json) == ["a", "b"]
    emptied = shop.put("1", images=[]).json
    assert (emptied["images"], emptied["image_uri"]) == ([], None)


def test_the_old_field_means_the_first_image(shop: Shop) -> None:
    shop.put("1", images=[{"uri": HOST + "a", "role": "front"}, *given("b")])
    other = shop.client.patch("/v1/products/1", json={"image_uri": HOST + "c"}).json
    assert uris(other) == ["c", "b"]
    assert other["images"][0]["role"] == "front"
    removed = shop.client.patch("/v1/products/1", json={"image_uri": None}).json
    assert uris(removed) == ["b"]


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ({"image_uri": HOST + "c"}, ["c", "b"]),
        ({"image_uri": None}, ["b"]),
        ({"images": given("b", "a")}, ["b", "a"]),
        ({"images": []}, []),
    ],
    ids=["another", "none", "list", "empty-list"],
)
def test_a_client_that_writes_both_back_may_have_changed_either(
    shop: Shop, change: dict[str, Any], left: list[str]
) -> None:
    stored = shop.put("1", images=given("a", "b")).json
    assert uris(write_back(shop, stored | change)) == left


def test_a_list_and_a_first_image_that_contradict_each_other_are_refused(shop: Shop) -> None:
    shop.put("1", images=given("a", "b"))
    body = {"image_uri": HOST + "c", "images": given("d")}
    refused = shop.client.put("/v1/products/1", json=body)
    assert refused.status_code == 422
    assert refused.json["errors"][0]["pointer"] == "/images"
    assert "not the first" in refused.json["detail"]


@pytest.mark.parametrize(
    ("images", "why"),
    [
        (given(*map(str, range(17))), "16"),
        ([{}], "image 1"),
        ([{"uri": HOST + "a", "upload": "AAAA"}], "image 1"),
        ([{"upload": "?"}], "base64"),
        ([{"upload": base64.b64encode(b"no image").decode()}], "image 1: not-an-image"),
        ([*given("a"), {"uri": "file:///etc/passwd"}], "allowed host"),
        ([*given("a"), {"uri": "https://elsewhere.example/1"}], "allowed host"),
        ([{"uri": HOST + "a", "role": "x" * 65}], "image 1, role"),
        ([{"uri": HOST + "a", "colour": "red"}], "no such member"),
        ("a", "list"),
    ],
    ids=[
        *("too-many", "nothing", "both", "not-base64", "not-an-image", "file", "host"),
        *("role", "unknown", "no-list"),
    ],
)
def test_a_list_that_cannot_be_stored_is_refused(shop: Shop, images: Any, why: str) -> None:
    refused = shop.client.put("/v1/products/1", json={"images": images})
    assert refused.status_code == 422
    assert refused.json["errors"][0]["pointer"] == "/images"
    assert why in refused.json["detail"]
    assert shop.client.get("/v1/products/1").status_code == 404


def test_a_batch_writes_images_and_refuses_bad_ones_alone(shop: Shop) -> None:
    items = [
        {"sku": "1", "images": [*given("a"), {"upload": in_base64("red")}]},
        {"sku": "2", "images": [{"upload": "AAAA"}]},
    ]
    answer = shop.client.post("/v1/products:batch", json={"items": items}).json["items"]
    assert [item["status"] for item in answer] == [201, 422]
    assert len(shop.client.get("/v1/products/1").json["images"]) == 2


def test_images_are_read_added_replaced_and_removed_by_number(shop: Shop) -> None:
    shop.put("1")
    statuses = [put_image(shop, n, c).status_code for n, c in ((1, "red"), (2, "blue"), (3, "tan"))]
    assert statuses == [201, 201, 201]
    assert put_image(shop, 2, "green").status_code == 200
    for number, colour in enumerate(("red", "green", "tan"), 1):
        got = shop.client.get(f"/v1/products/1/images/{number}")
        assert (got.content_type, got.data) == ("image/png", colour_image(colour))
    assert shop.client.get("/v1/products/1/image").data == colour_image("red")
    assert shop.client.delete("/v1/products/1/images/2").status_code == 204
    assert shop.client.get("/v1/products/1/images/2").data == colour_image("tan")
    assert shop.client.delete("/v1/products/1/image").status_code == 204
    assert shop.client.get("/v1/products/1/image").data == colour_image("tan")
    assert len(shop.client.get("/v1/products/1").json["images"]) == 1


@pytest.mark.parametrize("number", ["0", "4", "x", "-1", "1000"])
def test_a_number_without_an_image_is_404(shop: Shop, number: str) -> None:
    shop.put("1", images=given("a", "b"))
    for answer in (
        shop.client.get(f"/v1/products/1/images/{number}"),
        shop.client.delete(f"/v1/products/1/images/{number}"),
        put_image(shop, number, "red"),
    ):
        assert (answer.status_code, answer.json["code"]) == (404, "no-image")


def test_a_seventeenth_image_is_refused(shop: Shop) -> None:
    shop.put("1", images=given(*map(str, range(16))))
    refused = put_image(shop, 17, "red")
    assert (refused.status_code, refused.json["code"]) == (422, "invalid-product")


def test_the_old_route_replaces_only_the_first_image(shop: Shop) -> None:
    shop.put("1", images=given("a", "b"))
    assert uris(shop.put_image("1", colour_image("red")).json)[1:] == ["b"]


def test_a_reference_to_an_image_prints_without_its_file() -> None:
    assert "secret" not in repr(ImageRef(uri=None, upload=b"secret"))
