"""The same API over PostgreSQL: what SQL spells differently there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.image_files import colour_image
from support.servers import migrated
from support.shop import Shop

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
