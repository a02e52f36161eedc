"""What one query costs: two statements, and one call to a Qdrant server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from qdrant_client import grpc as pb
from sqlalchemy import event, text
from sqlalchemy.orm import Session
from support.image_files import colour_image
from support.keys import bearer, make_key
from support.qdrant_wire import LOCAL_MODE_WARNINGS, Wire
from support.rows import traced
from support.shop import Shop

from backend.access.scope import Scope
from backend.api import create_app
from backend.settings import Settings

pytestmark = LOCAL_MODE_WARNINGS

MOST = 2

QUERIES: dict[str, dict[str, Any]] = {
    "plain": {"path": "/v1/products/0001/similar"},
    "filtered": {
        "path": "/v1/products/0001/similar",
        "query_string": {"base_colour": "Red,Blue", "year_gte": "2000", "attributes.fit_not": "x"},
    },
    "least-match": {"path": "/v1/products/0001/similar?min_match=0.5"},
    "others-left-out": {"path": "/v1/products/0001/similar?exclude=0002,unknown"},
    "one-image": {"path": "/v1/products/0001/similar?image=1"},
    "further-image": {"path": "/v1/products/several/similar?image=2"},
    "body": {"path": "/v1/similar", "json": {"sku": "0001", "filter": {"gender": "Men"}}},
    "image": {
        "path": "/v1/similar?exclude=0002",
        "data": colour_image("#d02020"),
        "content_type": "image/png",
    },
}


SHAPED: dict[str, tuple[str, int, list[str]]] = {
    "grouped": ("group_by=base_colour", 3, ["nearest", "facet"]),
    "diverse": ("diversity=0.4", 3, ["nearest"]),
    "boosted": ("boost=year:0.1:2000:2020", 3, ["nearest"]),
    "restricted": ("restrict=gender", 2, ["nearest"]),
    "explained": ("explain=true", 3, ["nearest", "nearest"]),
    "explained-filter": ("explain=true&year_gte=2013", 3, ["nearest", "nearest"]),
    "all-together": (
        "group_by=brand&diversity=0.4&boost=year:0.1:2000:2020&restrict=gender&explain=true",
        4,
        ["nearest", "facet", "nearest"],
    ),
}
"""Parameters that shape a list, its statements, and what the index is asked for, when the list is
asked for again. What is counted of an embedded index is kept until the next write."""


KEPT = {"grouped": 1, "diverse": 1, "boosted": 1, "all-together": 2}
"""The statements that read candidates, also for reasons: their rows are kept until the next commit.
"""


def commit(shop: Shop) -> None:
    """Change the database, so that all is read again."""
    shop.db.write(lambda session: session.execute(text("UPDATE products SET sku = sku")))


@contextmanager
def noted_statements(shop: Shop) -> Iterator[list[Any]]:
    """Note what SQLite is asked, and which queries of the ORM there are."""
    orm: list[Any] = []
    note_orm = orm.append
    event.listen(Session, "do_orm_execute", note_orm)
    found: list[Any] = []
    try:
        with traced(shop.db) as told:
            yield found
        found += [*told, *orm]
    finally:
        event.remove(Session, "do_orm_execute", note_orm)


def fill(shop: Shop) -> FlaskClient:
    """Index a few products, and return a client with a key."""
    for number, colour in enumerate(("#d02020", "#c82828", "#b03030", "#2020d0"), 1):
        kind = {"base_colour": "Red", "article_type": "Shirts", "brand": f"b{number}"}
        shop.put(f"{number:04}", colour, gender="Men", year=2010 + number, **kind)
    shop.put("several", "#208020")
    for number, colour in ((2, "#e02020"), (3, "#20e020")):
        data = colour_image(colour)
        path = f"/v1/products/several/images/{number}"
        assert shop.client.put(path, data=data, content_type="image/png").status_code < 300
    shop.work()
    client = create_app(shop.services, locked=True).test_client()
    for name, value in bearer(make_key(shop.services, Scope.READ)).items():
        client.environ_base[f"HTTP_{name.upper()}"] = value
    return client


@pytest.fixture(scope="module")
def asked(
    api_settings: Settings,
    vector_store: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Shop, FlaskClient]]:
    """A shop, its index embedded or on a server, and a client with a key."""
    folder: Path = tmp_path_factory.mktemp("asked")
    with ExitStack() as stack:
        shop = stack.enter_context(Shop(api_settings, data_dir=folder, **vector_store))
        yield shop, fill(shop)


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_is_two_statements_none_of_the_orm_and_one_call(
    asked: tuple[Shop, FlaskClient], wire: Wire, name: str
) -> None:
    shop, client = asked
    options = dict(QUERIES[name])
    path = options.pop("path")

    def ask() -> Any:
        method = "POST" if options.keys() & {"json", "data"} else "GET"
        answer = client.open(path, method=method, **options)
        assert answer.status_code == 200, answer.text
        return answer.json

    ask()  # looks its key up, and counts the index
    wire.seen.clear()
    with noted_statements(shop) as found:
        answer = ask()
    assert answer["items"]
    assert len(found) <= MOST, found
    assert all(isinstance(each, str) for each in found), "the ORM was asked"
    assert not any(each.startswith("BEGIN") for each in found)
    if shop.settings.qdrant_url:
        [search] = wire.seen
        assert isinstance(search, pb.QueryPoints)
        assert not search.with_payload.enable


@contextmanager
def noted_calls(index: Any) -> Iterator[list[str]]:
    """Note what an index is asked for."""
    found: list[str] = []
    asking = ("nearest", "nearest_each", "facet", "count", "vectors", "records", "vector")
    with pytest.MonkeyPatch.context() as patch:
        for name in asking:
            call = getattr(index, name)
            patch.setattr(index, name, _noting(found, name, call))
        yield found


def _noting(found: list[str], name: str, call: Any) -> Any:
    def noted(*arguments: Any, **options: Any) -> Any:
        found.append(name)
        return call(*arguments, **options)

    return noted


@pytest.mark.parametrize("name", SHAPED)
def test_a_shaped_list_takes_few_statements_and_few_calls(
    asked: tuple[Shop, FlaskClient], name: str
) -> None:
    shop, client = asked
    tail, statements, calls = SHAPED[name]
    path = f"/v1/products/0001/similar?exclude=several&{tail}"
    index = shop.index
    assert client.get(path).status_code == 200
    commit(shop)
    with noted_statements(shop) as found, noted_calls(index) as called:
        answer = client.get(path).json
    with noted_statements(shop) as again:
        unchanged = client.get(path).json
    assert answer["items"]
    assert unchanged["items"] == answer["items"]
    assert len(again) == statements - KEPT.get(name, 0), again
    assert all(isinstance(each, str) for each in found), "the ORM was asked"
    is_counted = bool(shop.settings.qdrant_url)
    assert called == [call for call in calls if is_counted or call != "facet"]
    assert len(found) == statements, found


def test_a_list_without_a_filter_is_explained_by_what_its_own_search_found(
    asked: tuple[Shop, FlaskClient],
) -> None:
    shop, client = asked
    index = shop.index
    path = "/v1/products/0003/similar?limit=1&explain=true"
    client.get(path)
    with noted_statements(shop) as found, noted_calls(index) as called:
        items = client.get(path).json["items"]
    told = [item["explain"] for item in items]
    assert [it["category"]["place"] for it in told] == [1]
    assert called == ["nearest"]
    assert len(found) == MOST, found


def test_a_placement_takes_one_small_statement_and_the_pins_of_its_rules_another(
    asked: tuple[Shop, FlaskClient],
) -> None:
    shop, client = asked
    index = shop.index
    shop.client.put("/v1/admin/placements/cart", json={"limit": 3, "exclude": ["several"]})
    rules = [
        {"action": "hide", "filter": {"year": 2012}},
        {"action": "boost", "filter": {"brand": "b4"}, "condition": {"gender": "Men"}},
        {"action": "pin", "skus": ["0004"]},
    ]
    made = [shop.client.post("/v1/admin/rules", json={**it, "placement": "cart"}) for it in rules]
    path = "/v1/products/0001/similar?placement=cart"
    try:
        client.get(path)  # reads the rules
        commit(shop)
        with noted_statements(shop) as found, noted_calls(index) as called:
            items = client.get(path).json["items"]
        with noted_statements(shop) as again:
            assert client.get(path).json["items"] == items
    finally:
        for each in made:
            shop.client.delete(f"/v1/admin/rules/{each.json['id']}")
        shop.client.delete("/v1/admin/placements/cart")
    assert [item["sku"] for item in items] == ["0004", "0003"]
    assert called == ["nearest"]
    assert all(isinstance(each, str) for each in found), "the ORM was asked"
    assert len(found) == 5, found
    assert len(again) == 5 - 3, "the placement, the pins and the candidates are as they were"


def test_rules_in_force_cost_no_statement(asked: tuple[Shop, FlaskClient]) -> None:
    shop, client = asked
    hide = {"action": "hide", "skus": ["0004"]}
    made = shop.client.post("/v1/admin/rules", json=hide).json
    try:
        path = "/v1/products/0001/similar"
        client.get(path)  # reads the rules
        with noted_statements(shop) as found:
            items = client.get(path).json["items"]
        assert "0004" not in [item["sku"] for item in items]
        assert len(found) == MOST
    finally:
        shop.client.delete(f"/v1/admin/rules/{made['id']}")


def test_a_key_is_looked_up_once_in_a_while_and_the_catalogue_each_time(
    asked: tuple[Shop, FlaskClient],
) -> None:
    shop, client = asked
    path = "/v1/products/0001/similar"
    client.get(path)
    shop.client.patch("/v1/products/0002", json={"display_name": "renamed"})
    with noted_statements(shop) as found:
        items = client.get(path).json["items"]
    assert "renamed" in [item["product"]["display_name"] for item in items]
    assert len(found) == MOST
    assert not any("api_keys" in each for each in found)


def test_a_batch_is_one_call_to_a_server_for_all_its_products(
    asked: tuple[Shop, FlaskClient], wire: Wire
) -> None:
    shop, client = asked
    skus = ["0001", "0002", "unknown", "several"]
    filtered = {"skus": skus, "filter": {"gender": "Men", "year": {"gte": 2000}}}
    client.post("/v1/similar:batch", json=filtered)
    wire.seen.clear()
    with noted_statements(shop) as found:
        answer = client.post("/v1/similar:batch", json=filtered).json
    assert [item["status"] for item in answer["items"]] == [200, 200, 404, 200]
    assert len(found) == MOST
    if shop.settings.qdrant_url:
        [search] = wire.seen
        assert isinstance(search, pb.QueryBatchPoints)
        assert len(search.query_points) == 3
