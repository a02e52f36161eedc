"""The Python client against a live server, with and without asyncio."""

from __future__ import annotations

import asyncio
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import delete
from support.http_server import HttpServer, http_server
from support.image_files import colour_image
from support.keys import make_key
from support.places import ROOT
from support.shop import Shop, stock

from backend.access.scope import Scope
from backend.api import create_app
from backend.database.models import ApiKey

sys.path.insert(0, str(Path(ROOT) / "clients" / "python"))
from lookalike_client import AsyncClient, Client, LookalikeError, requests

IMAGE = colour_image("#d02020")


@pytest.fixture
def server(wardrobe: Shop) -> Iterator[HttpServer]:
    with http_server(create_app(wardrobe.services, locked=True)) as found:
        yield found


@pytest.fixture
def key(wardrobe: Shop) -> str:
    wardrobe.execute(delete(ApiKey))
    return make_key(wardrobe.services, Scope.INGEST)


def test_a_program_reads_writes_and_searches(server: HttpServer, key: str) -> None:
    with Client(f"http://localhost:{server.port}", key=key) as shop:
        assert [it["sku"] for it in shop.similar("0001", limit=2)["items"]] == ["0002", "0003"]
        assert [it["sku"] for it in shop.search(IMAGE, limit=1)["items"]] == ["0001"]
        assert [it["sku"] for it in shop.products(limit=2)] == [f"000{n}" for n in range(1, 6)]
        assert [it["sku"] for it in shop.products(gender=["Men"], year_gte=2014)] == ["0004"]
        shop.put_product("a/b", {"price": 1, "in_stock": False})
        assert shop.put_image("a/b", IMAGE)["images"]
        assert shop.patch_product("a/b", {"price": 2})["in_stock"] is False
        results = shop.patch_products([{"sku": "a/b", "price": 3}, {"sku": "no", "price": 3}])
        assert [it["status"] for it in results] == [200, 404]
        assert shop.get_product("a/b")["price"] == 3
        assert [it["status"] for it in shop.put_products([{"sku": "c"}])] == [201]
        shop.delete_product("a/b")
        with pytest.raises(LookalikeError, match="no product") as refused:
            shop.get_product("a/b")
        assert (refused.value.status, refused.value.code) == (404, "unknown-product")
        with pytest.raises(LookalikeError) as changed:
            shop.patch_product("0001", {"price": 2}, if_match='"other"')
        assert changed.value.code == "precondition-failed"


def test_so_does_one_with_asyncio(server: HttpServer, key: str) -> None:
    async def use() -> None:
        async with AsyncClient(f"http://localhost:{server.port}", key=key) as shop:
            found = await asyncio.gather(shop.similar("0001"), shop.search(IMAGE))
            assert found[0]["items"][0]["sku"] == "0002"
            assert found[1]["items"][0]["sku"] == "0001"
            assert [it["sku"] async for it in shop.products(limit=2, gender="Men")] == [
                "0003",
                "0004",
            ]
            assert (await shop.patch_product("0001", {"price": 5}))["price"] == 5
            with pytest.raises(LookalikeError):
                await shop.get_product("nobody")

    asyncio.run(use())


EXAMPLES = {"positive": ["0001", {"sku": "nobody", "weight": 2.0}], "negative": ["0004"]}


def check_list(answer: dict[str, Any], *, limit: int) -> None:
    """Check the list for EXAMPLES: reds first, the examples themselves never."""
    assert [it["sku"] for it in answer["items"]] == ["0002", "0003", "0005"][:limit]
    assert {it["reason"] for it in answer["items"]} == {"look"}
    assert answer["unresolved"] == [{"sku": "nobody", "state": "unknown"}]


def test_lists_and_queries_are_asked_with_json(server: HttpServer, key: str) -> None:
    with Client(f"http://localhost:{server.port}", key=key) as shop:
        check_list(shop.recommend(**EXAMPLES, limit=2), limit=2)
        check_list(shop.recommend(**EXAMPLES, limit=3, filter={"price": {"gte": 1}}), limit=3)
        found = shop.search_by(sku="0001", limit=1, filter={"gender": ["Men"]})
        assert [it["sku"] for it in found["items"]] == ["0003"]
        region = shop.search(IMAGE, limit=1, box="0.1,0.1,0.9,0.9")
        assert [it["sku"] for it in region["items"]] == ["0001"]
        with pytest.raises(LookalikeError) as refused:
            shop.recommend(positive=["nobody"])
        assert (refused.value.status, refused.value.code) == (422, "no-example")


def test_so_are_they_with_asyncio(server: HttpServer, key: str) -> None:
    async def use() -> None:
        async with AsyncClient(f"http://localhost:{server.port}", key=key) as shop:
            check_list(await shop.recommend(**EXAMPLES, limit=2), limit=2)
            found = await shop.search_by(sku="0001", limit=1, filter={"gender": ["Men"]})
            assert [it["sku"] for it in found["items"]] == ["0003"]
            with pytest.raises(LookalikeError) as refused:
                await shop.recommend(positive=["nobody"])
            assert refused.value.code == "no-example"

    asyncio.run(use())


def test_many_products_are_sent_as_an_import(wardrobe: Shop, server: HttpServer, key: str) -> None:
    async def again(number: int) -> str:
        async with AsyncClient(f"http://localhost:{server.port}", key=key) as shop:
            await shop.import_products([{"sku": "z"}])
            found = await shop.get_import(number)
            return str(found["state"])

    with Client(f"http://localhost:{server.port}", key=key) as shop:
        job = shop.import_products({"sku": f"new-{number}", "price": 1} for number in range(3))
        assert job["arguments"]["lines"] == 3
        wardrobe.follow(job["id"])
        counts = shop.get_import(job["id"])["result"]["counts"]
        assert counts == {"added": 3, "changed": 0, "unchanged": 0, "rejected": 0}
        assert asyncio.run(again(job["id"])) == "done"
        wardrobe.work()


SEEDS = {"positive": ["0001"], "limit": 2}


def test_a_path_in_place_of_an_image_is_refused(server: HttpServer, key: str) -> None:
    path: Any = "photo.jpg"
    with Client(f"http://127.0.0.1:{server.port}", key=key) as shop:
        with pytest.raises(TypeError, match="give the bytes of the image"):
            shop.search(path)
        with pytest.raises(TypeError, match="give the bytes of the image"):
            shop.put_image("0001", path)


def test_lists_are_read_page_by_page(server: HttpServer, key: str) -> None:
    with Client(f"http://localhost:{server.port}", key=key) as shop:
        whole = [it["sku"] for it in shop.similar("0001")["items"]]
        assert [it["sku"] for it in shop.all_similar("0001", limit=1)] == whole
        assert [it["sku"] for it in shop.all_found_by(sku="0001", limit=3)] == whole
        found = [it["sku"] for it in shop.search(IMAGE, gender=["Women"])["items"]]
        assert [it["sku"] for it in shop.all_found(IMAGE, gender=["Women"], limit=1)] == found
        recommended = [it["sku"] for it in shop.recommend(positive=["0001"])["items"]]
        assert [it["sku"] for it in shop.all_recommended(**SEEDS)] == recommended
        assert len(recommended) == len(whole) == 4


def test_they_are_with_asyncio_too(server: HttpServer, key: str) -> None:
    async def use() -> None:
        async with AsyncClient(f"http://localhost:{server.port}", key=key) as shop:
            whole = [it["sku"] for it in (await shop.similar("0001"))["items"]]
            assert [it["sku"] async for it in shop.all_similar("0001", limit=3)] == whole
            region = shop.all_found(IMAGE, limit=2, box="0.1,0.1,0.9,0.9")
            assert len([it["sku"] async for it in region]) == 5
            assert len([it["sku"] async for it in shop.all_recommended(**SEEDS)]) == 4

    asyncio.run(use())


def test_a_request_is_sent_again_as_the_server_says_and_a_write_is_done_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    keys: list[str] = []
    answers = [
        httpx.Response(429, headers={"Retry-After": "7"}, json={}),
        httpx.ConnectError("gone"),
        httpx.Response(200, json={"price": 1}),
    ]

    def answer(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["Idempotency-Key"])
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", lambda _, request: answer(request))
    shop = Client("http://localhost")
    assert shop.put_product("1", {"price": 1}) == {"price": 1}
    assert waits == [7.0, 1.0]
    assert len(keys) == 3
    assert len(set(keys)) == 1
    answers[:] = [httpx.Response(503, json={"code": "server-busy"}) for _ in range(3)]
    with pytest.raises(LookalikeError) as refused:
        shop.put_product("1", {"price": 1})
    assert refused.value.code == "server-busy"
    assert answers == []
    answers[:] = [httpx.Response(503, json={"code": "server-busy"})]
    once = Client("http://localhost", tries=1)
    with pytest.raises(LookalikeError):
        once.put_product("1", {"price": 1})


@pytest.mark.parametrize(
    ("status", "headers", "tries", "seconds"),
    [
        (200, {}, 1, None),
        (404, {}, 1, None),
        (409, {}, 1, None),
        (409, {"Retry-After": "2"}, 1, 2.0),
        (503, {"Retry-After": "600"}, 1, 30.0),
        (503, {}, 2, 1.0),
        (503, {"Retry-After": "1"}, 3, None),
    ],
)
def test_only_what_may_help_is_tried_again(
    status: int, headers: dict[str, str], tries: int, seconds: float | None
) -> None:
    assert requests.wait_after(httpx.Response(status, headers=headers), tries) == seconds


# --- every operation -----------------------------------------------------------------------------

FOLDER = Path(ROOT) / "clients" / "python"


def test_each_operation_has_a_method(wardrobe: Shop) -> None:
    described = wardrobe.client.get("/openapi.json").json
    written = runpy.run_path(str(FOLDER / "generate.py"))["written"](described)
    assert (FOLDER / "lookalike_client" / "operations.py").read_text() == written, (
        "python clients/python/generate.py URL"
    )
    left_out = {"getMetrics", "getImage", "getOneImage"}
    named = {it["operationId"] for each in described["paths"].values() for it in each.values()}
    assert len(named - left_out) == written.count("-> Sent:") - 1


def test_what_merchandisers_do_is_done_over_the_client(wardrobe: Shop, server: HttpServer) -> None:
    admin = make_key(wardrobe.services, Scope.ADMIN)
    with Client(f"http://localhost:{server.port}", key=admin) as client:
        api = client.api
        placed = api.put_placement("cart", {"limit": 3}, if_none_match="*")
        assert api.put_placement("cart", {"limit": 2}, if_match=placed.etag)["version"] == 2
        with pytest.raises(LookalikeError) as refused:
            api.put_placement("cart", {"limit": 1}, if_match=placed.etag)
        assert refused.value.code == "precondition-failed"
        assert len(api.list_placement_changes("cart")["items"]) == 2

        tried = {"rules": [{"action": "hide", "skus": ["0002"]}], "sample": 5}
        assert api.preview_rules(tried)["changed"] > 0
        made = [api.create_rule({"action": "hide", "skus": [sku]}) for sku in ("0002", "0004")]
        assert [it["id"] for it in client.each(api.list_rules, limit=1)] == [
            it["id"] for it in made
        ]
        found = client.similar("0001", placement="cart")["items"]
        assert [it["sku"] for it in found] == ["0003", "0005"]
        api.delete_rule(made[0]["id"], if_match=api.get_rule(made[0]["id"]).etag)
        assert client.similar("0001", limit=1)["items"][0]["sku"] == "0002"

        api.put_placement("cart-b", {"limit": 4})
        api.put_experiment("longer", {"placement": "cart", "against": "cart-b"})
        assert [it["name"] for it in api.list_experiments()["items"]] == ["longer"]
        api.delete_experiment("longer")

        facets = api.get_facets(gender=["Men"], disjunctive=True, fields="gender")["items"]
        assert {it["value"]: it["count"] for it in facets[0]["values"]} == {"Women": 3, "Men": 2}
        act = {"kind": "view", "sku": "0001", "user": "ann"}
        assert api.post_events({"items": [act]})["stored"] == 1
        wardrobe.work()
        assert [it["sku"] for it in client.each(api.list_trending_products)] == ["0001"]
        api.delete_user("ann")
        read = api.read_products({"skus": ["0001", "nobody"]})
        assert read["unknown"] == ["nobody"]
        assert (
            api.get_similar_of_products({"skus": ["0001"], "limit": 1})["items"][0]["status"] == 200
        )
        assert api.put_image("0001", IMAGE)["sku"] == "0001"
        assert api.get_status()["products"] == 5


def test_so_are_they_when_they_are_awaited(wardrobe: Shop, server: HttpServer) -> None:
    admin = make_key(wardrobe.services, Scope.ADMIN)

    async def use() -> None:
        async with AsyncClient(f"http://localhost:{server.port}", key=admin) as client:
            await client.api.create_rule({"action": "hide", "skus": ["0002"]})
            rules = [it async for it in client.each(client.api.list_rules, limit=1)]
            assert len(rules) == 1
            assert (await client.similar("0001", limit=1))["items"][0]["sku"] == "0003"

    asyncio.run(use())


def test_a_thousand_answers_are_read_page_by_page(shop: Shop) -> None:
    stock(shop.db, shop.generation, 1001)
    shop.apply()
    with (
        http_server(create_app(shop.services, locked=False)) as server,
        Client(f"http://localhost:{server.port}") as client,
    ):
        skus = [it["sku"] for it in client.products()]
        similar = [it["sku"] for it in client.all_similar("s1", limit=100, fields="sku")]
    assert (len(skus), len(set(skus))) == (1001, 1001)
    assert (len(similar), set(similar)) == (1000, set(skus) - {"s1"})
