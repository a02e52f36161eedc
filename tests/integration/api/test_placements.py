"""Placements: named sets of defaults, which hold for what a request does not say itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import delete
from support.image_files import colour_image
from support.shop import PROBLEM, Shop
from typer.testing import Result

from backend.database.models import Placement, PlacementChange

URL = "/v1/admin/placements/pdp-similar"
SIMILAR = "/v1/products/0001/similar"


@pytest.fixture
def placed(wardrobe: Shop) -> Iterator[Shop]:
    """The wardrobe, without placements afterwards."""
    yield wardrobe
    wardrobe.execute(delete(Placement))


def put(shop: Shop, **settings: Any) -> Any:
    answer = shop.client.put(URL, json=settings)
    assert answer.status_code in (200, 201), answer.text
    return answer.json


def test_placements_are_stored_listed_and_removed(placed: Shop) -> None:
    client = placed.client
    assert client.put(URL, json={"limit": 3, "colour": None}).status_code == 201
    assert put(placed, limit=3)["version"] == 1  # nothing has changed
    changed = put(placed, limit=2)
    assert (changed["version"], changed["settings"]) == (2, {"limit": 2})
    assert client.get(URL).json == client.get("/v1/admin/placements").json["items"][0]
    assert client.delete(URL).status_code == 204
    for answer in (client.get(URL), client.delete(URL)):
        assert (answer.status_code, answer.json["code"]) == (404, "unknown-placement")


def test_a_change_acts_with_the_next_request_also_if_the_placement_was_made_anew(
    placed: Shop,
) -> None:
    client, url = placed.client, f"{SIMILAR}?placement=pdp-similar"
    for limit in (2, 1):
        put(placed, limit=limit)
        assert [len(client.get(url).json["items"]) for _ in range(2)] == [limit, limit]
    client.delete(URL)
    assert client.get(url).status_code == 422
    assert put(placed, limit=2)["version"] == 1
    assert len(client.get(url).json["items"]) == 2


def test_a_placement_is_changed_only_as_it_was_read(placed: Shop) -> None:
    client = placed.client
    new = client.put(URL, json={"limit": 3}, headers={"If-None-Match": "*"})
    assert (new.status_code, client.get(URL).headers["ETag"]) == (201, new.headers["ETag"])
    assert client.put(URL, json={}, headers={"If-None-Match": "*"}).status_code == 412
    tag = {"If-Match": new.headers["ETag"]}
    assert client.put(URL, json={"limit": 4}, headers=tag).status_code == 200
    for late in (client.put(URL, json={}, headers=tag), client.delete(URL, headers=tag)):
        assert (late.status_code, late.json["code"]) == (412, "precondition-failed")
    assert client.delete(URL, headers={"If-Match": "*"}).status_code == 204


def test_the_history_of_a_placement_outlives_it(placed: Shop) -> None:
    placed.execute(delete(PlacementChange))
    put(placed, limit=3)
    put(placed, limit=3)
    put(placed, limit=4)
    placed.client.delete(URL)
    changes = placed.client.get(f"{URL}/history").json["items"]
    assert [(it["change"], it["version"], it["settings"]["limit"]) for it in changes] == [
        ("removed", 2, 4),
        ("replaced", 2, 4),
        ("created", 1, 3),
    ]
    assert placed.client.get("/v1/admin/placements/nobody/history").status_code == 404


def test_the_next_request_takes_what_was_put(placed: Shop) -> None:
    put(placed, limit=1, filter={"gender": "Women"})
    assert placed.skus(SIMILAR, placement="pdp-similar") == ["0002"]
    put(placed, limit=2, filter={"gender": ["Men"]})
    assert placed.skus(SIMILAR, placement="pdp-similar") == ["0003", "0004"]
    meta = placed.client.get(f"{SIMILAR}?placement=pdp-similar").json["meta"]
    assert meta["placement"] == {"name": "pdp-similar", "version": 2}
    assert "placement" not in placed.client.get(SIMILAR).json["meta"]


def test_what_the_request_says_comes_before_the_placement(placed: Shop) -> None:
    put(placed, limit=1, filter={"gender": "Men", "in_stock": True}, diversity=0.5)
    asked = {"placement": "pdp-similar", "limit": "5"}
    assert placed.skus(SIMILAR, **asked) == ["0004"]
    found = placed.skus(SIMILAR, gender="Men,Women", **asked)
    assert sorted(found) == ["0002", "0004", "0005"]
    body = {"sku": "0001", "placement": "pdp-similar", "limit": 5}
    both = placed.client.post("/v1/similar?gender=Women", json=body).json["items"]
    assert [it["sku"] for it in both] == ["0002", "0005"]


def test_all_lists_take_a_placement(placed: Shop) -> None:
    put(placed, limit=1, filter={"gender": "Men"}, boost=[{"field": "in_stock", "weight": 2}])
    client, name = placed.client, {"placement": "pdp-similar"}
    batch = client.post("/v1/similar:batch", json={"skus": ["0001", "0002"], **name}).json
    assert [[it["sku"] for it in each["items"]] for each in batch["items"]] == [["0004"]] * 2
    assert batch["meta"]["placement"]["name"] == "pdp-similar"
    recommended = client.post("/v1/recommendations", json={"positive": ["0001"], **name}).json
    assert [it["sku"] for it in recommended["items"]] == ["0004"]
    assert recommended["meta"]["placement"]["version"] == 1
    image = {"data": colour_image("#d02020"), "content_type": "image/png"}
    found = client.post("/v1/similar?placement=pdp-similar", **image).json["items"]
    assert [it["sku"] for it in found] == ["0004"]
    for path in ("/v1/new-products", "/v1/users/u/recommendations"):
        assert placed.skus(path, **name) == ["0004"]


@pytest.mark.parametrize(
    ("settings", "pointer"),
    [
        ({"limit": 0}, "/limit"),
        ({"placement": "other"}, "/placement"),
        ({"filter": {"year": "x"}}, "/filter/year"),
        ({"boost": [{"field": "price", "weight": 1}]}, "/boost"),
    ],
    ids=["limit", "placement", "filter", "boost"],
)
def test_settings_are_checked_when_they_are_put(
    placed: Shop, settings: dict[str, Any], pointer: str
) -> None:
    answer = placed.client.put(URL, json=settings)
    assert (answer.status_code, answer.content_type) == (422, PROBLEM)
    assert answer.json["errors"][0]["pointer"].startswith(pointer)


def test_an_unknown_placement_is_refused(placed: Shop) -> None:
    answer = placed.client.get(SIMILAR, query_string={"placement": "nobody"})
    assert answer.status_code == 422
    assert answer.json["errors"][0]["parameter"] == "placement"
    assert placed.client.put("/v1/admin/placements/a%20b", json={}).json["code"] == (
        "invalid-placement"
    )


def test_commands_store_and_list_placements(run_command: Callable[..., Result]) -> None:
    run = run_command
    run("migrate")
    settings = json.dumps({"limit": 4, "filter": {"gender": "Men"}})
    assert json.loads(run("placements", "put", "cart", settings, "--json").stdout)["version"] == 1
    [item] = json.loads(run("placements", "list", "--json").stdout)["items"]
    assert (item["name"], item["settings"]["limit"]) == ("cart", 4)
    assert "cart" in run("placements", "list").stdout
    run("placements", "put", "cart", '{"limit": 0}', code=1)
    run("placements", "put", "cart", "{", code=1)
    assert "Removed cart" in run("placements", "remove", "cart").stdout
    changes = json.loads(run("placements", "history", "cart", "--json").stdout)["items"]
    assert [(it["change"], it["by"]) for it in changes] == [
        ("removed", "command"),
        ("created", "command"),
    ]
    assert "created" in run("placements", "history", "cart").stdout
    assert "no placements" in run("placements", "list").stdout
