"""What an operator asks: status, quarantine, jobs, health."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from support.image_files import colour_image
from support.shop import PROBLEM, Shop

from backend import jobs
from backend.api import create_app
from backend.bootstrap import build
from backend.catalogue import products
from backend.catalogue.products import Draft
from backend.errors import IndexUnavailable
from backend.settings import read_settings
from backend.status import status
from workers.services import optional_probes


def test_products_are_pending_indexed_or_quarantined(wardrobe: Shop) -> None:
    wardrobe.put("bare")
    wardrobe.work()
    wardrobe.put("new", "green")
    wardrobe.client.delete("/v1/products/0001")
    found = wardrobe.client.get("/v1/status").json
    counts = {name: found[name] for name in ("products", "pending", "indexed", "quarantined")}
    assert counts == {"products": 6, "pending": 1, "indexed": 4, "quarantined": 1}
    assert found["removing"] == 1
    assert 0 <= found["oldest_pending_seconds"] < 60
    generation = found["generation"]
    assert (generation["state"], generation["embedder"]) == ("active", "mean-colour")
    assert generation["size"] == wardrobe.services.embedders.named("mean-colour").size
    wardrobe.work()
    rested = wardrobe.client.get("/v1/status").json
    assert (rested["pending"], rested["removing"]) == (0, 0)
    assert rested["oldest_pending_seconds"] is None


def test_the_status_of_the_command_line_is_the_same_object(wardrobe: Shop) -> None:
    services = wardrobe.services
    shown = wardrobe.client.get("/v1/status").json
    assert shown == status(services.db, services.indexes.look_at_shard)


def test_the_status_counts_searches_by_the_shape_of_their_filter(wardrobe: Shop) -> None:
    def counts() -> Counter[str]:
        wardrobe.services.recall.save()
        shapes = wardrobe.client.get("/v1/status").json["filter_recall"]
        assert {(it["mode"], it["compared"], it["recall"]) for it in shapes} <= {("exact", 0, None)}
        return Counter({it["shape"]: it["queries"] for it in shapes})

    before = counts()
    for query in ({"year_gte": 2012}, {"year_gte": 2001}, {}):
        wardrobe.client.get("/v1/products/0001/similar", query_string=query)
    assert counts() - before == Counter({"year:range": 2, "": 1})


def test_the_quarantine_lists_reasons_page_by_page(shop: Shop) -> None:
    for sku in ("1", "2", "3"):
        shop.put(sku)
    shop.put("fine", "red")
    shop.work()
    first = shop.client.get("/v1/quarantine?limit=2").json
    query = {"limit": 2, "cursor": first["next_cursor"]}
    second = shop.client.get("/v1/quarantine", query_string=query).json
    items = first["items"] + second["items"]
    assert [item["sku"] for item in items] == ["1", "2", "3"]
    assert second["next_cursor"] is None
    assert items[0]["reason"].startswith("no-image")
    assert items[0]["image_uri"] is None


def test_a_job_can_be_followed(shop: Shop) -> None:
    job_id = jobs.write(shop.services.db, "verify", {"fix": False})
    queued = shop.client.get(f"/v1/jobs/{job_id}").json
    assert (queued["state"], queued["arguments"], queued["result"]) == (
        "queued",
        {"fix": False},
        None,
    )
    assert shop.client.get("/v1/status").json["jobs"] == {"queued": 1, "running": 0}
    shop.work()
    done = shop.client.get(f"/v1/jobs/{job_id}").json
    assert (done["state"], done["result"]["drift"]) == ("done", 0)
    assert done["created_at"] <= done["started_at"] <= done["finished_at"]


# --- health --------------------------------------------------------------------------------------


def test_a_process_that_can_answer_is_ready(shop: Shop) -> None:
    assert shop.client.get("/livez").json == {"status": "ok"}
    ready = shop.client.get("/readyz")
    assert (ready.status_code, ready.json["status"]) == (200, "ready")
    assert ready.json["checks"] == {"database": "ok", "index": "ok"}


def test_an_index_that_is_down_is_named(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise IndexUnavailable("the shard has gone")

    monkeypatch.setattr(shop.services.indexes, "of", refuse)
    down = shop.client.get("/readyz")
    assert (down.status_code, down.content_type) == (503, PROBLEM)
    assert down.json["checks"] == {"database": "ok", "index": "the shard has gone"}
    assert "index: the shard has gone" in down.json["detail"]
    assert down.headers["Retry-After"]
    assert shop.client.get("/livez").status_code == 200


def test_a_part_of_the_process_can_be_probed_too(shop: Shop) -> None:
    app = create_app(shop.services, probes={"worker": lambda: "is loading the embedder"})
    down = app.test_client().get("/readyz")
    assert down.json["checks"]["worker"] == "is loading the embedder"
    assert down.json["detail"] == "worker: is loading the embedder"


def test_a_part_that_few_requests_need_is_named_and_the_process_stays_ready(shop: Shop) -> None:
    found = {"broker": "does not answer", "worker": None}
    probes = {name: lambda name=name: found[name] for name in found}
    client = create_app(shop.services, probes=probes, optional={"broker"}).test_client()
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json["status"]) == (200, "ready")
    assert ready.json["degraded"] == ["broker"]
    assert ready.json["checks"]["broker"] == "does not answer"
    found["worker"] = "is loading the embedder"
    down = client.get("/readyz")
    assert (down.status_code, down.json["degraded"]) == (503, ["broker"])
    assert down.json["detail"] == "broker: does not answer; worker: is loading the embedder"


@pytest.mark.parametrize(
    ("settings", "optional"),
    [
        ({}, {"broker"}),
        ({"rate_limit": "5/second", "rate_limit_without_redis": "open"}, {"broker"}),
        ({"rate_limit_without_redis": "closed"}, {"broker"}),
        ({"rate_limit": "5/second", "rate_limit_without_redis": "closed"}, set()),
    ],
)
def test_redis_is_needed_only_where_every_request_is_counted_in_it(
    settings: dict[str, str], optional: set[str]
) -> None:
    found = read_settings(_env_file=None, ready_without_redis="true", **settings)
    assert optional_probes(found) == optional
    assert optional_probes(read_settings(_env_file=None, **settings)) == set()


def test_before_the_first_generation_only_similar_items_have_to_wait(tmp_path: Path) -> None:
    found = read_settings(_env_file=None, data_dir=tmp_path, embedder="mean-colour")
    services = build(found)
    client = create_app(services).test_client()
    try:
        stored = client.put("/v1/products/1", json={})
        assert (stored.status_code, stored.json["state"]) == (201, "pending")
        assert client.get("/v1/status").json["generation"] is None
        assert client.get("/v1/status").json["pending"] == 1
        assert client.get("/v1/products?state=pending").json["items"]
        assert client.get("/v1/quarantine").json["items"] == []
        waiting = [
            client.get("/readyz"),
            client.get("/v1/products/1/similar"),
            client.get("/v1/facets"),
            client.post("/v1/similar", data=colour_image("red"), content_type="image/png"),
        ]
        assert {response.status_code for response in waiting} == {503}
        assert {response.content_type for response in waiting} == {PROBLEM}
        assert all(response.headers["Retry-After"] for response in waiting)
    finally:
        services.close()


# --- what is done with the quarantine ------------------------------------------------------------


def quarantine_three(shop: Shop) -> None:
    """One good product, two whose image is none, and one with a good and a bad image."""
    shop.put("good", "red")
    for sku in ("bad", "worse"):
        shop.save(sku, b"no image")
    images = [shop.store(data) for data in (colour_image("red"), b"none")]
    draft = Draft(sku="half", values={}, images=images)
    shop.db.write(lambda session: products.save(session, [draft], priority=0))
    shop.work()
    assert sorted(shop.skus("/v1/quarantine")) == ["bad", "half", "worse"]


def test_named_products_are_tried_again(shop: Shop) -> None:
    quarantine_three(shop)
    asked = shop.client.post("/v1/quarantine:retry", json={"skus": ["bad", "half", "good", "no"]})
    assert asked.status_code == 200
    assert asked.json == {"skus": ["bad", "half"], "not_quarantined": ["good", "no"]}
    assert shop.skus("/v1/products", state="pending") == ["bad", "half"]
    shop.work()
    assert shop.skus("/v1/products", state="quarantined") == ["bad", "worse"]


def test_all_are_discarded_but_what_is_indexed_by_another_image(shop: Shop) -> None:
    quarantine_three(shop)
    asked = shop.client.post("/v1/quarantine:discard", json={"everything": True})
    assert sorted(asked.json["skus"]) == ["bad", "worse"]
    assert shop.skus("/v1/products") == ["good", "half"]


@pytest.mark.parametrize("body", [{}, {"skus": []}, {"skus": ["1"], "everything": True}], ids=repr)
def test_either_skus_or_everything_is_meant(client: FlaskClient, body: dict[str, Any]) -> None:
    refused = client.post("/v1/quarantine:discard", json=body)
    assert refused.status_code == 422
    assert "needs either skus or everything" in refused.json["detail"]
