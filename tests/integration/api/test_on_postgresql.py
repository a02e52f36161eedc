"""The same API over PostgreSQL: what SQL spells differently there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from support.image_files import colour_image
from support.servers import migrated
from support.shop import Shop
from werkzeug.test import TestResponse

from backend.settings import Settings


@pytest.fixture
def postgres_shop(pg_url: str, settings: Settings) -> Iterator[Shop]:
    with Shop(settings, database_url=migrated(pg_url), facets=("fit",)) as found:
        yield found


def test_a_shop_on_postgresql_answers_the_same(postgres_shop: Shop) -> None:
    shop = postgres_shop
    items = [{"sku": sku, "attributes": {"fit": "slim", "n": 42}} for sku in ("1", "2")]
    batch = shop.client.post("/v1/products:batch", json={"items": items}).json
    assert [item["status"] for item in batch["items"]] == [201, 201]
    shop.put_image("1", colour_image("red"))
    shop.put_image("2", colour_image("darkred"))
    assert shop.skus("/v1/products", state="pending") == ["1", "2"]
    shop.work()
    shop.put("3", year=2012)
    assert shop.skus("/v1/products", state="indexed") == ["1", "2"]
    assert shop.skus("/v1/products", state="pending,quarantined") == ["3"]
    assert shop.skus("/v1/products", **{"attributes.n": "42", "attributes.fit": "slim"}) == [
        "1",
        "2",
    ]
    assert shop.skus("/v1/products", year_gte="2012", year_not="2013") == ["3"]
    assert shop.skus("/v1/products/1/similar") == ["2"]
    status = shop.client.get("/v1/status").json
    assert (status["products"], status["pending"], status["indexed"]) == (3, 1, 2)
    cursor = shop.client.get("/v1/new-products?limit=1").json["next_cursor"]
    assert shop.skus("/v1/new-products", cursor=cursor) == ["2", "1"]
    page = shop.client.post("/v1/similar?limit=1", data=colour_image("red"))
    assert shop.skus("/v1/products/1/similar", exclude="3") == ["2"]
    further = {"cursor": page.json["next_cursor"]}
    assert [it["sku"] for it in shop.client.post("/v1/similar", json=further).json["items"]] == [
        "2"
    ]
    assert shop.client.delete("/v1/products/2").status_code == 204
    assert shop.skus("/v1/products/1/similar") == []
    assert shop.client.get("/readyz").status_code == 200


def put_at_once(
    shop: Shop, path: str, bodies: Sequence[dict[str, Any]], headers: dict[str, str]
) -> list[TestResponse]:
    """Send all bodies to one address, as nearly at the same time as threads can."""
    start = Barrier(len(bodies))

    def put(body: dict[str, Any]) -> TestResponse:
        client = shop.app.test_client()
        start.wait(timeout=30)
        return client.put(path, json=body, headers=headers)

    with ThreadPoolExecutor(len(bodies)) as threads:
        return list(threads.map(put, bodies))


def test_of_two_changes_at_once_one_wins_and_the_history_has_all(postgres_shop: Shop) -> None:
    shop, placement = postgres_shop, "/v1/admin/placements/home"
    assert shop.client.put(placement, json={"limit": 9}).status_code == 201
    pinned = {"action": "pin", "skus": ["1"]}
    rule = shop.client.post("/v1/admin/rules", json=pinned).headers["Location"]
    bodies: dict[str, list[dict[str, Any]]] = {
        placement: [{"limit": number} for number in range(1, 5)],
        rule: [{**pinned, "position": number} for number in range(2, 6)],
    }
    for path, changes in bodies.items():
        tag = shop.client.get(path).headers["ETag"]
        answers = put_at_once(shop, path, changes, {"If-Match": tag})
        assert sorted(it.status_code for it in answers) == [200, 412, 412, 412]
        (won,) = [it for it in answers if it.status_code == 200]
        assert shop.client.get(path).json == won.json
        assert {it.json["code"] for it in answers if it is not won} == {"precondition-failed"}

        answers = put_at_once(shop, path, changes, {})
        assert {it.status_code for it in answers} == {200}
        history = shop.client.get(f"{path}/history").json["items"]
        versions = [it["version"] for it in history]
        assert versions == list(range(len(history), 0, -1))
        assert len(history) in {5, 6}  # the winner's settings change nothing if they come first
        read = shop.client.get(path).json
        assert history[0]["settings"].items() <= {**read, **read.get("settings", {})}.items()
        assert {it.json["version"] for it in answers} <= set(versions)

    only_new = {"If-None-Match": "*"}
    path = "/v1/admin/placements/new"
    answers = put_at_once(shop, path, bodies[placement], only_new)
    assert sorted(it.status_code for it in answers) == [201, 412, 412, 412]
    assert [it["version"] for it in shop.client.get(f"{path}/history").json["items"]] == [1]
    tried = [{"placement": "home", "against": "new"}] * 4
    answers = put_at_once(shop, "/v1/admin/experiments/trial", tried, {})
    assert sorted(it.status_code for it in answers) == [200, 200, 200, 201]
