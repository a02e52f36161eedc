"""`/v1/products/{sku}`: what a shop writes is what it reads, and everything else is refused."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from support.image_files import colour_image
from support.shop import PROBLEM, Shop

from backend.api import create_app
from backend.catalogue import products
from backend.catalogue.products import ImageRef

FULL = {
    "display_name": "Turtle Check Men Navy Blue Shirt",
    "gender": "Men",
    "master_category": "Apparel",
    "sub_category": "Topwear",
    "article_type": "Shirts",
    "base_colour": "Navy Blue",
    "season": "Fall",
    "year": 2011,
    "usage": "Casual",
    "group_id": "turtle-check",
    "brand": "Turtle",
    "price": 39.9,
    "currency": "EUR",
    "in_stock": False,
    "link": "https://shop.example/p/15970?ref=a&b=ü",
    "attributes": {"fit": "slim", "sizes": ["S", "M"], "weight": 1.5, "washable": True},
    "image_uri": "https://images.example/15970.jpg",
}
IMAGES = [
    {
        "uri": FULL["image_uri"],
        "url": FULL["image_uri"],
        "role": None,
        "digest": None,
        "state": "pending",
        "reason": None,
    }
]


READ_ONLY = {"state": "pending", "reason": None, "image_url": FULL["image_uri"], "images": IMAGES}


def test_a_put_answers_201_and_the_product_then_200(client: FlaskClient) -> None:
    first = client.put("/v1/products/15970", json=FULL)
    assert first.status_code == 201
    assert first.headers["Location"] == "/v1/products/15970"
    assert first.json == FULL | READ_ONLY | {"sku": "15970"}
    again = client.put("/v1/products/15970", json=FULL | {"year": 2012})
    assert (again.status_code, again.json["year"]) == (200, 2012)
    assert client.get("/v1/products/15970").json == again.json


def test_a_sku_keeps_its_leading_zeros(client: FlaskClient) -> None:
    client.put("/v1/products/007", json={})
    assert client.get("/v1/products/007").json["sku"] == "007"
    assert client.get("/v1/products/7").status_code == 404


@pytest.mark.parametrize("sku", ["%20a", "a%09b", "x" * 129, "a%00", "%FF"])
def test_a_sku_of_other_characters_is_refused(client: FlaskClient, sku: str) -> None:
    refused = client.put(f"/v1/products/{sku}", json={})
    assert refused.status_code == 422
    assert refused.json["errors"][0]["pointer"] == "/sku"
    assert "printable characters" in refused.json["errors"][0]["detail"]


def test_a_put_is_the_complete_product(client: FlaskClient) -> None:
    client.put("/v1/products/1", json=FULL)
    emptied = client.put("/v1/products/1", json={"gender": "Women"}).json
    assert emptied["gender"] == "Women"
    assert emptied["year"] is emptied["display_name"] is None
    assert emptied["attributes"] == {}
    assert emptied["in_stock"] is True


@pytest.mark.parametrize(
    "link",
    [
        "shop.example/p/1",
        "javascript:alert(1)",
        "javascript://shop.example/%0aalert(1)",
        "https://",
        "https:///p/1",
        "https://[",
        "https://shop.example/a b",
        'https://shop.example/"><script>',
        f"https://shop.example/{'x' * 2048}",
    ],
)
def test_a_link_is_the_http_address_of_a_page(client: FlaskClient, link: str) -> None:
    refused = client.put("/v1/products/1", json={"link": link})
    assert refused.status_code == 422
    assert refused.json["errors"][0]["pointer"] == "/link"


def test_the_scheme_of_a_link_can_be_in_any_case(client: FlaskClient) -> None:
    stored = client.put("/v1/products/1", json={"link": "HTTPS://Shop.example/P"}).json
    assert stored["link"] == "https://Shop.example/P"


def test_a_put_without_an_image_keeps_the_one_there_is(shop: Shop) -> None:
    shop.put("1", "red")
    kept = shop.client.put("/v1/products/1", json={"gender": "Men"}).json
    assert kept["image_uri"].startswith("store://")
    dropped = shop.client.put("/v1/products/1", json={"image_uri": None}).json
    assert dropped["image_uri"] is None


def test_a_patch_changes_what_it_names(client: FlaskClient) -> None:
    client.put("/v1/products/1", json=FULL)
    patched = client.patch(
        "/v1/products/1",
        json={"price": 20, "usage": None, "attributes": {"fit": None, "lining": "silk"}},
    )
    assert patched.status_code == 200
    attributes = {"sizes": ["S", "M"], "weight": 1.5, "washable": True, "lining": "silk"}
    expected = {"price": 20.0, "usage": None, "attributes": attributes}
    assert patched.json == FULL | READ_ONLY | expected | {"sku": "1"}


def test_what_was_read_can_be_written_back(wardrobe: Shop) -> None:
    read = wardrobe.client.get("/v1/products/0001").json
    written = wardrobe.client.put("/v1/products/0001", json=read)
    assert (written.status_code, written.json) == (200, read)
    assert read["state"] == "indexed", "and nothing became due"


def test_another_sku_in_the_body_is_refused(client: FlaskClient) -> None:
    refused = client.put("/v1/products/1", json={"sku": "2"})
    assert (refused.status_code, refused.json["errors"][0]["pointer"]) == (422, "/sku")


@pytest.mark.parametrize("method", ["get", "delete", "patch"])
def test_an_unknown_sku_is_404(client: FlaskClient, method: str) -> None:
    body = {"json": {}} if method == "patch" else {}
    missing = getattr(client, method)("/v1/products/nobody", **body)
    assert (missing.status_code, missing.json["code"]) == (404, "unknown-product")


def test_a_deleted_product_is_gone_and_a_put_revives_it(wardrobe: Shop) -> None:
    client = wardrobe.client
    assert client.delete("/v1/products/0002").status_code == 204
    assert client.get("/v1/products/0002").status_code == 404
    assert client.delete("/v1/products/0002").status_code == 404
    assert "0002" not in wardrobe.skus("/v1/products/0001/similar"), "at once, not when applied"
    wardrobe.work()
    blank = client.put("/v1/products/0002", json={"image_uri": None})
    assert (blank.status_code, blank.json["image_uri"], blank.json["gender"]) == (201, None, None)
    wardrobe.work()
    assert "0002" not in wardrobe.skus("/v1/products/0001/similar")
    wardrobe.put("0002", "#c82828")
    wardrobe.work()
    assert "0002" in wardrobe.skus("/v1/products/0001/similar")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("year", "2012"),
        ("year", True),
        ("year", 2012.5),
        ("year", 12),
        ("price", "9.99"),
        ("price", True),
        ("price", -1),
        ("in_stock", "true"),
        ("in_stock", 1),
        ("in_stock", None),
        ("gender", 5),
        ("gender", ["Men"]),
        ("gender", "x" * 256),
        ("display_name", "a\0b"),
        ("display_name", "\ud800"),
        ("attributes", []),
        ("attributes", {"a": {"b": 1}}),
        ("attributes", {"a": "\0"}),
        ("attributes", {"a": 10**30}),
        ("image_uri", 7),
    ],
)
def test_a_value_of_the_wrong_type_is_422_and_says_what_is_right(
    client: FlaskClient, field: str, value: Any
) -> None:
    refused = client.put("/v1/products/1", json={field: value})
    assert (refused.status_code, refused.content_type) == (422, PROBLEM)
    (fault,) = refused.json["errors"]
    assert fault["pointer"] == f"/{field}"
    assert fault["detail"]
    assert client.get("/v1/products/1").status_code == 404


def test_an_unknown_field_is_422_and_names_the_allowed_ones(client: FlaskClient) -> None:
    for method in (client.put, client.patch):
        client.put("/v1/products/1", json={})
        refused = method("/v1/products/1", json={"colour/tone": "red", "year": "x"})
        assert refused.status_code == 422
        faults = {fault["pointer"]: fault for fault in refused.json["errors"]}
        assert set(faults) == {"/colour~1tone", "/year"}, "everything wrong is told at once"
        assert faults["/colour~1tone"]["code"] == "unknown-field"
        assert "base_colour" in faults["/colour~1tone"]["detail"]


def test_a_field_whose_name_is_half_a_surrogate_pair_is_422(client: FlaskClient) -> None:
    refused = client.put("/v1/products/1", json={"\ud800": "x"})
    assert refused.status_code == 422
    (fault,) = refused.json["errors"]
    assert (fault["pointer"], fault["code"]) == ("/\ud800", "unknown-field")


@pytest.mark.parametrize(
    "uri",
    [
        "file:///etc/passwd",
        "/etc/passwd",
        "store://" + "0" * 64,
        "https://evil.example/a.jpg",
        "https://images.example@evil.example/a.jpg",
        "https://images.example.evil.example/a.jpg",
        "gs://images.example/a.jpg",
        "https://[::1/a.jpg",
        "data:image/png;base64,AAAA",
    ],
)
def test_an_image_elsewhere_than_on_an_allowed_host_is_refused(
    client: FlaskClient, uri: str
) -> None:
    client.put("/v1/products/1", json={})
    for response in (
        client.put("/v1/products/1", json={"image_uri": uri}),
        client.patch("/v1/products/1", json={"image_uri": uri}),
    ):
        assert response.status_code == 422
        assert response.json["errors"][0]["pointer"] == "/image_uri"
    assert client.get("/v1/products/1").json["image_uri"] is None


@pytest.mark.parametrize("uri", ["https://images.example/a.jpg", "s3://images.example/a.jpg"])
def test_an_image_on_an_allowed_host_is_taken(client: FlaskClient, uri: str) -> None:
    assert client.put("/v1/products/1", json={"image_uri": uri}).json["image_uri"] == uri


def test_an_imported_file_stays_when_it_is_written_back(shop: Shop) -> None:
    image = ImageRef(uri="file:///catalogue/images/1.jpg", digest="a" * 64, bytes=7, mtime_ns=1)
    draft = products.Draft(sku="1", values={}, image=image)
    shop.services.db.write(lambda session: products.save(session, [draft], priority=1))
    read = shop.client.get("/v1/products/1").json
    assert shop.client.put("/v1/products/1", json=read).json["image_uri"] == image.uri
    moved = {"image_uri": "file:///catalogue/images/2.jpg"}
    assert shop.client.patch("/v1/products/1", json=moved).status_code == 422


def test_a_projection_holds_the_sku_and_what_was_asked_for(wardrobe: Shop) -> None:
    read = wardrobe.client.get("/v1/products/0001?fields=gender,state&fields=year").json
    assert read == {"sku": "0001", "gender": "Women", "year": 2011, "state": "indexed"}
    refused = wardrobe.client.get("/v1/products/0001?fields=colour")
    assert refused.status_code == 422
    assert "base_colour" in refused.json["errors"][0]["detail"]


def test_a_product_without_an_image_ends_in_quarantine_with_that_reason(shop: Shop) -> None:
    shop.put("1")
    shop.work()
    read = shop.client.get("/v1/products/1").json
    assert read["state"] == "quarantined"
    assert read["reason"].startswith("no-image")


def test_every_write_notifies(shop: Shop) -> None:
    notified: list[bool] = []

    def notify() -> None:
        with shop.services.db.read() as session:  # committed: another connection sees it
            notified.append(products.page(session, limit=1) != [])

    client = create_app(replace(shop.services, notify=notify)).test_client()
    client.put("/v1/products/1", json={})
    client.put("/v1/products/1/image", data=colour_image("red"), content_type="image/png")
    client.patch("/v1/products/1", json={"year": 2012})
    client.post("/v1/products:batch", json={"items": [{"sku": "2"}]})
    client.delete("/v1/products/2")
    assert notified == [True] * 5


def test_one_of_many_putting_the_same_sku_is_the_first(shop: Shop) -> None:
    statuses: list[int] = []

    def put() -> None:
        response = shop.app.test_client().put("/v1/products/1", json={"year": 2012})
        statuses.append(response.status_code)

    threads = [threading.Thread(target=put) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] * 7 + [201]


# --- the list ------------------------------------------------------------------------------------


def test_a_list_goes_on_behind_its_cursor_until_there_is_none(wardrobe: Shop) -> None:
    seen, cursor = [], None
    for _ in range(10):
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = wardrobe.client.get("/v1/products", query_string=query).json
        seen += [item["sku"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ["0001", "0002", "0003", "0004", "0005"]


@pytest.mark.parametrize("cursor", ["1", "", "é", "cXVhcmFudGluZTox", "x" * 500, "cHJvZHVjdHM6LTE"])
def test_a_cursor_from_elsewhere_is_refused(wardrobe: Shop, cursor: str) -> None:
    refused = wardrobe.client.get("/v1/products", query_string={"cursor": cursor})
    assert refused.status_code == 422
    assert refused.json["errors"][0]["code"] == "invalid-cursor"


def test_a_list_can_be_restricted_to_states(wardrobe: Shop) -> None:
    wardrobe.put("bare")
    wardrobe.work()
    wardrobe.put("new", "green")
    assert wardrobe.skus("/v1/products", state="pending") == ["new"]
    assert wardrobe.skus("/v1/products", state="quarantined") == ["bare"]
    assert len(wardrobe.skus("/v1/products", state="indexed,pending")) == 6
    refused = wardrobe.client.get("/v1/products?state=lost")
    assert "pending, indexed, quarantined" in refused.json["errors"][0]["detail"]


@pytest.mark.parametrize("limit", ["0", "101", "-1", "1.5", "ten", "", "1_0", "٣"])
def test_a_limit_outside_1_to_100_is_refused(client: FlaskClient, limit: str) -> None:
    refused = client.get("/v1/products", query_string={"limit": limit})
    assert (refused.status_code, refused.json["errors"][0]["parameter"]) == (422, "limit")
