"""`/v1/admin`: re-index, promote, roll back and drop over REST."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from support.image_files import colour_image
from support.shop import PROBLEM, Shop

from backend import generations
from backend.settings import Settings

COLOURS = ("red", "blue", "green")
BETTER = "mean-colour?grid=2"


@pytest.fixture
def shop(settings: Settings) -> Iterator[Shop]:
    """A shop of its own: generations would stay behind in the common one."""
    shop = Shop(settings, promote_samples=10)
    for number in range(9):
        colour = COLOURS[number % 3]
        shop.put(str(number), article_type=colour)
        shop.put_image(str(number), colour_image(colour, size=(30 + number, 40)))
    shop.work()
    yield shop
    shop.close()


def follow(shop: Shop, location: str) -> Any:
    for _ in range(300):
        job = shop.client.get(location).json
        if job["state"] in ("done", "failed"):
            return job
        if not shop.worker.work_once():
            shop.worker.wake_up.wait(0.05)
    raise AssertionError(job)


def reindex(shop: Shop, **body: Any) -> Any:
    asked = shop.client.post("/v1/admin/reindex", json=body)
    assert asked.status_code == 202, asked.text
    assert asked.headers["Location"] == f"/v1/admin/jobs/{asked.json['id']}"
    return follow(shop, asked.headers["Location"])


def states(shop: Shop) -> dict[int, str]:
    items = shop.client.get("/v1/admin/generations").json["items"]
    return {item["id"]: item["state"] for item in items}


def test_an_index_is_built_beside_the_active_one_and_gone_back_from(shop: Shop) -> None:
    job = reindex(shop, embedder=BETTER)
    assert (job["state"], job["done"], job["total"]) == ("done", 9, 9)
    assert states(shop) == {2: "active", 1: "standby"}
    assert shop.client.get("/v1/products/0/similar").json["generation"] == 2
    detail = shop.client.get("/v1/admin/generations/2").json
    assert (detail["embedder"], detail["indexed"]) == (BETTER, 9)
    assert detail["quality"]["checks"]["recall@10"]["passed"]

    back = shop.client.post("/v1/admin/generations/rollback", json={})
    assert (back.status_code, back.json["id"], back.json["state"]) == (200, 1, "active")
    assert shop.client.get("/v1/products/0/similar").json["generation"] == 1
    gone = shop.client.delete("/v1/admin/generations/2")
    assert (gone.status_code, gone.json["state"]) == (200, "retired")
    again = shop.client.post("/v1/admin/generations/rollback", json={})
    assert (again.status_code, again.json["code"]) == (409, "wrong-state")


def test_a_manual_reindex_is_promoted_by_a_job(shop: Shop) -> None:
    job = reindex(shop, quantization="int8", hnsw={"m": 32}, promote="manual")
    assert job["result"]["state"] == "building"
    assert job["result"]["index_options"] == {"hnsw_m": 32}
    asked = shop.client.post("/v1/admin/generations/2/promote", json={"force": False})
    assert asked.status_code == 202
    assert follow(shop, asked.headers["Location"])["state"] == "done"
    assert states(shop) == {2: "active", 1: "standby"}


def test_a_second_reindex_is_a_conflict(shop: Shop) -> None:
    assert shop.client.post("/v1/admin/reindex", json={}).status_code == 202
    second = shop.client.post("/v1/admin/reindex", json={})
    assert (second.status_code, second.content_type) == (409, PROBLEM)
    assert second.json["code"] == "reindex-running"
    assert "not ended" in second.json["detail"]


def test_a_generation_that_is_not_good_enough_fails_its_job_with_the_number(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    reindex(shop, embedder=BETTER, promote="manual")
    with shop.services.db.read() as session:
        building = generations.live(session)[-1]
    index = shop.services.indexes.of(building)
    index.delete(dict(list(index.claims())[:2]))
    asked = shop.client.post("/v1/admin/generations/2/promote", json={})
    job = follow(shop, asked.headers["Location"])
    assert job["state"] == "failed"
    assert job["error"].startswith("promotion-refused:")
    assert "the index holds 7 products, SQL says 9" in job["error"]
    checks = shop.client.get("/v1/admin/generations/2").json["quality"]["checks"]
    assert not checks["counts"]["passed"]


def test_a_plan_that_cannot_be_names_what_is_wrong(shop: Shop) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"quantization": "int4"}, "/quantization"),
        ({"promote": "later"}, "/promote"),
        ({"hnsw": {"m": 1}}, "/hnsw"),
        ({"hnsw": {"links": 16}}, "/hnsw"),
        ({"hnsw": [16]}, "/hnsw"),
        ({"embedder": 7}, "/embedder"),
        ({"force": "yes"}, "/force"),
        ({"model": "x"}, "/model"),
    ]
    for body, place in wrong:
        refused = shop.client.post("/v1/admin/reindex", json=body)
        assert refused.status_code == 422, body
        assert [error["pointer"] for error in refused.json["errors"]] == [place]
    assert shop.client.get("/v1/admin/jobs").json["items"] == []


def test_an_embedder_that_there_is_not_fails_the_job(shop: Shop) -> None:
    job = reindex(shop, embedder="nonsense")
    assert job["state"] == "failed"
    assert job["error"].startswith("unknown-embedder")
    assert states(shop) == {1: "active"}


def test_what_is_not_there_or_in_the_wrong_state_is_named(shop: Shop) -> None:
    for method, path in (("get", ""), ("delete", ""), ("post", "/promote")):
        missing = getattr(shop.client, method)(f"/v1/admin/generations/77{path}", json={})
        assert (missing.status_code, missing.json["code"]) == (404, "unknown-generation")
    active = shop.client.delete("/v1/admin/generations/1")
    assert (active.status_code, active.json["code"]) == (409, "wrong-state")
    assert shop.client.post("/v1/admin/generations/1/promote", json={}).status_code == 409


def test_jobs_are_listed_page_by_page(shop: Shop) -> None:
    reindex(shop, promote="manual")
    shop.client.delete("/v1/admin/generations/2")
    reindex(shop, promote="manual")
    first = shop.client.get("/v1/admin/jobs?limit=1").json
    query = {"limit": 1, "cursor": first["next_cursor"]}
    second = shop.client.get("/v1/admin/jobs", query_string=query).json
    assert [first["items"][0]["id"], second["items"][0]["id"]] == [2, 1]
    assert second["next_cursor"] is None
    same = shop.client.get("/v1/jobs/1").json
    assert same == shop.client.get("/v1/admin/jobs/1").json == second["items"][0]


def test_what_is_done_to_all_generations_is_not_the_id_of_one(shop: Shop) -> None:
    for method in ("GET", "DELETE"):
        refused = shop.client.open("/v1/admin/generations/rollback", method=method)
        assert (refused.status_code, refused.content_type) == (405, PROBLEM)
        assert refused.allow.as_set() == {"post", "options"}
    assert shop.client.get("/v1/admin/generations/rollback2").status_code == 404
