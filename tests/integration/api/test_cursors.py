"""Pages of similar products: a plain ranking of all vectors gives the same ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import delete, select, update
from support.image_files import colour_image
from support.shop import PROBLEM, Shop, stock

from backend import generations
from backend.access.signing_key import SigningKey
from backend.api import create_app
from backend.catalogue.image_vectors import unpack
from backend.database.models import (
    BUILDING,
    Generation,
    ImageVector,
    IndexEntry,
    Product,
    Secret,
)
from backend.generations import EmbedderIdentity
from backend.search.paging import MOST_SHOWN
from backend.settings import Settings

COUNT = 1_150
QUERY = "s1"
URL = f"/v1/products/{QUERY}/similar"
ROUNDING = 1e-5


@pytest.fixture(scope="module")
def drawn(api_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop of drawn vectors."""
    folder = tmp_path_factory.mktemp("drawn")
    with Shop(api_settings, data_dir=folder, embedder="mean-colour?grid=2", max_batch=500) as shop:
        stock(shop.db, shop.generation, COUNT)
        shop.apply()
        yield shop


def vectors(shop: Shop) -> dict[str, np.ndarray]:
    """The vectors of all products that are there, by sku."""
    joined = (
        select(Product.sku, ImageVector.vector)
        .join(IndexEntry, IndexEntry.product_id == Product.id)
        .join(ImageVector, ImageVector.image_digest == IndexEntry.embedded_digest)
        .where(Product.removed_at.is_(None), IndexEntry.generation_id == shop.generation.id)
    )
    with shop.db.read() as session:
        found = {sku: unpack(vector) for sku, vector in session.execute(joined)}
    return {sku: it / np.linalg.norm(it) for sku, it in found.items()}


def ranking(shop: Shop, query: np.ndarray, *, without: set[str]) -> list[tuple[str, float]]:
    scores = {sku: float(it @ query) for sku, it in vectors(shop).items() if sku not in without}
    return sorted(scores.items(), key=lambda it: -it[1])


def assert_page(answer: Any, expected: list[tuple[str, float]]) -> None:
    found = [item["score"] for item in answer["items"]]
    assert found == pytest.approx([score for _, score in expected], abs=ROUNDING)
    skus = [item["sku"] for item in answer["items"]]
    nearly = {sku for sku, score in expected if score < expected[-1][1] + ROUNDING}
    assert set(skus) | nearly == {sku for sku, _ in expected} | nearly


def get(shop: Shop, url: str = URL, **query: Any) -> Any:
    answer = shop.client.get(url, query_string=query)
    assert answer.status_code == 200, answer.text
    return answer.json


def pages(ask: Callable[[str | None], Any]) -> Iterator[Any]:
    """All pages of a list."""
    cursor = None
    while True:
        answer = ask(cursor)
        yield answer
        if (cursor := answer["next_cursor"]) is None:
            return


def test_a_thousand_answers_are_those_of_a_plain_ranking(drawn: Shop) -> None:
    query = vectors(drawn)[QUERY]
    expected = ranking(drawn, query, without={QUERY})
    found: list[str] = []
    for answer in pages(lambda cursor: get(drawn, limit=70, cursor=cursor, fields="price")):
        before = len(found)
        assert_page(answer, expected[before : before + len(answer["items"])])
        found += [item["sku"] for item in answer["items"]]
    assert len(found) == len(set(found)) == MOST_SHOWN


def test_nothing_is_repeated_or_missed_while_the_catalogue_changes(drawn: Shop) -> None:
    query = vectors(drawn)[QUERY]
    stays = set(vectors(drawn)) - {QUERY}
    found: list[str] = []
    cursor = None
    gone = [f"s{number}" for number in range(700, 1_100)]
    remove(drawn, gone[:300])  # so that all others can be shown
    for turn in range(12):
        answer = get(drawn, limit=100, cursor=cursor, fields="price")
        assert_page(answer, ranking(drawn, query, without={QUERY, *found})[:100])
        found += [item["sku"] for item in answer["items"]]
        if (cursor := answer["next_cursor"]) is None:
            break
        remove(drawn, gone[300 + 10 * turn : 310 + 10 * turn])
        drawn.put(f"new{turn}", f"#{turn:x}04020", price=2.0)
        moved = (*sorted(stays)[turn::300][:2], found[0])  # some are shown already, others not
        for at, sku in enumerate(moved):
            drawn.put_image(sku, colour_image(f"#{turn:x}0{at}0ff"))
        drawn.client.patch(f"/v1/products/{found[-1]}", json={"price": float(turn)})
        drawn.work()
    assert cursor is None
    assert len(found) == len(set(found))
    assert not (stays & set(vectors(drawn))) - set(found)
    assert {sku for sku in found if sku.startswith("new")}


def remove(shop: Shop, skus: list[str]) -> None:
    answer = shop.client.post("/v1/products:delete", json={"skus": skus})
    assert answer.status_code == 200, answer.text
    shop.work()


# --- kinds of queries --------------------------------------------------------------------------


def test_pages_of_an_image_need_it_once(wardrobe: Shop) -> None:
    image = colour_image("#d02020")
    whole = wardrobe.client.post("/v1/similar", data=image, content_type="image/png").json["items"]

    def ask(cursor: str | None) -> Any:
        if cursor is None:
            options = {"data": image, "content_type": "image/png"}
            return wardrobe.client.post("/v1/similar?limit=2", **options).json
        return wardrobe.client.post("/v1/similar", json={"cursor": cursor, "limit": 2}).json

    found = [item for page in pages(ask) for item in page["items"]]
    assert [it["sku"] for it in found] == [it["sku"] for it in whole]
    scores = [it["score"] for it in whole]
    assert [it["score"] for it in found] == pytest.approx(scores, abs=1e-3)  # float16
    first = ask(None)["next_cursor"]
    empty = wardrobe.client.post(f"/v1/similar?limit=3&cursor={first}").json["items"]
    form = wardrobe.client.post(
        "/v1/similar",
        data={"limit": "3", "cursor": first},
        content_type="multipart/form-data",
    ).json["items"]
    assert [it["sku"] for it in empty] == [it["sku"] for it in whole[2:5]]
    assert form == empty


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"filter": {"gender": ["Women"]}, "exclude": ["0005"]},
        {"group_by": "gender"},
        {"boost": [{"field": "in_stock", "weight": 0.5}]},
        {"diversity": 0.5},
        {"min_score": 0.9, "relax": ["min_score"]},
        {"restrict": ["gender"]},
    ],
    ids=["plain", "filtered", "grouped", "boosted", "diverse", "relaxed", "restricted"],
)
def test_pages_of_a_shaped_list_hold_what_the_whole_list_holds(
    wardrobe: Shop, options: dict[str, Any]
) -> None:
    body = {"sku": "0001", **options}
    whole = wardrobe.client.post("/v1/similar", json=body).json
    assert whole["next_cursor"] is None

    def ask(cursor: str | None) -> Any:
        return wardrobe.client.post("/v1/similar", json={**body, "limit": 1, "cursor": cursor}).json

    found = [item["sku"] for page in pages(ask) for item in page["items"]]
    assert sorted(found) == sorted(item["sku"] for item in whole["items"])
    assert len(found) >= 1


@pytest.mark.parametrize(
    ("url", "body"),
    [
        ("/v1/recommendations", {"positive": ["0001", "0004"], "negative": ["0005"]}),
        ("/v1/recommendations", {"positive": ["0001"], "group_by": "gender"}),
        ("/v1/users/ann/recommendations", None),
        ("/v1/new-products", None),
        ("/v1/products/0001/together", None),
        ("/v1/trending", None),
    ],
    ids=["seeds", "grouped", "shopper", "new", "together", "trending"],
)
def test_lists_for_shoppers_have_pages_too(
    wardrobe: Shop, url: str, body: dict[str, Any] | None
) -> None:
    wardrobe.client.post(
        "/v1/events:batch",
        json={"items": [{"kind": "view", "sku": it, "user": "ann"} for it in ("0002", "0003")]},
    )
    wardrobe.work()

    def ask(cursor: str | None, limit: int = 1) -> Any:
        given = {"limit": limit, **({"cursor": cursor} if cursor else {})}
        if body is None:
            return get(wardrobe, url, **given)
        answer = wardrobe.client.post(url, json={**body, **given})
        assert answer.status_code == 200, answer.text
        return answer.json

    whole = [item["sku"] for item in ask(None, limit=100)["items"]]
    found = [item["sku"] for page in pages(ask) for item in page["items"]]
    assert sorted(found) == sorted(whole)
    assert len(found) > 1


# --- what a cursor holds for -------------------------------------------------------------------


def test_a_cursor_that_nobody_made_here_is_refused(wardrobe: Shop) -> None:
    cursor = get(wardrobe, "/v1/products/0001/similar", limit=1)["next_cursor"]
    changed = ("A" if cursor[0] != "A" else "B") + cursor[1:]  # the last one may hold unused bits
    for bad in (changed, "x", "cHJvZHVjdHM6MQ", "é", cursor[:30], "A" * 100):
        answer = wardrobe.client.get("/v1/products/0001/similar", query_string={"cursor": bad})
        assert (answer.status_code, answer.content_type) == (422, PROBLEM)
        assert answer.json["errors"][0]["code"] == "invalid-cursor"


@pytest.mark.parametrize(
    "other",
    [
        {"min_score": 0.5},
        {"min_match": 0.5},
        {"gender": "Women"},
        {"exclude": "0003"},
        {"group_by": "gender"},
        {"image": 1},
        {"colour": 1},
        {"boost": "price:0.1:1:2"},
        {"restrict": "gender"},
    ],
    ids=lambda it: next(iter(it)),
)
def test_a_cursor_belongs_to_its_query(wardrobe: Shop, other: dict[str, Any]) -> None:
    cursor = get(wardrobe, "/v1/products/0001/similar", limit=1)["next_cursor"]
    client = wardrobe.client
    answer = client.get("/v1/products/0001/similar", query_string={"cursor": cursor, **other})
    assert answer.status_code == 422
    assert "belongs to another query" in answer.json["detail"]
    of_other = client.get("/v1/products/0002/similar", query_string={"cursor": cursor})
    assert "belongs to another query" in of_other.json["detail"]
    assert client.post("/v1/similar", json={"cursor": cursor}).status_code == 422


def test_limit_fields_and_explain_may_change_between_pages(wardrobe: Shop) -> None:
    url = "/v1/products/0001/similar"
    cursor = get(wardrobe, url, limit=1)["next_cursor"]
    answer = get(wardrobe, url, limit=2, fields="price", explain="true", cursor=cursor)
    assert [item["sku"] for item in answer["items"]] == ["0003", "0005"]
    assert all("explain" in item for item in answer["items"])
    posted = {"sku": "0001", "cursor": cursor, "limit": 2}
    same = wardrobe.client.post("/v1/similar", json=posted).json
    assert [item["sku"] for item in same["items"]] == ["0003", "0005"]


def test_a_cursor_and_an_image_are_refused_together(wardrobe: Shop) -> None:
    image = colour_image("#d02020")
    first = wardrobe.client.post("/v1/similar?limit=1", data=image, content_type="image/png")
    cursor = first.json["next_cursor"]
    url = f"/v1/similar?limit=1&cursor={cursor}"
    answer = wardrobe.client.post(url, data=image, content_type="image/png")
    assert answer.status_code == 422
    assert answer.json["errors"][0]["parameter"] == "cursor"
    twice = wardrobe.client.post(url, json={"cursor": cursor})
    assert twice.status_code == 422


def test_a_changed_placement_ends_its_lists(wardrobe: Shop) -> None:
    place = "/v1/admin/placements/pdp"
    assert wardrobe.client.put(place, json={"limit": 1}).status_code in (200, 201)
    url = "/v1/products/0001/similar"
    cursor = get(wardrobe, url, placement="pdp")["next_cursor"]
    assert get(wardrobe, url, placement="pdp", cursor=cursor)["items"][0]["sku"] == "0003"
    wardrobe.client.put(place, json={"limit": 1, "filter": {"in_stock": [True]}})
    asked = {"placement": "pdp", "cursor": cursor}
    answer = wardrobe.client.get(url, query_string=asked)
    assert (answer.status_code, answer.json["code"]) == (410, "cursor-expired")
    assert wardrobe.client.get(url, query_string={"cursor": cursor}).status_code == 422
    wardrobe.client.delete(place)


def test_a_cursor_keeps_to_its_generation_until_that_is_gone(shop: Shop) -> None:
    for sku, colour in (("a", "#d02020"), ("b", "#c82828"), ("c", "#b03030")):
        shop.put(sku, colour)
    shop.work()
    first = shop.generation
    url = "/v1/products/a/similar"
    answer = get(shop, url, limit=1)
    cursor = answer["next_cursor"]
    seeds = {"positive": ["a"], "limit": 1}
    seeded = shop.client.post("/v1/recommendations", json=seeds).json["next_cursor"]
    other = EmbedderIdentity(spec="mean-colour?grid=3", fingerprint="f" * 64, size=28)
    second = generations.start(shop.db, other, state=BUILDING)
    generations.activate(shop.db, second.id, quality=None)
    try:
        further = get(shop, url, cursor=cursor)
        assert further["generation"] == answer["generation"] == first.id
        assert [item["sku"] for item in further["items"]] == ["c"]
        again = shop.client.post("/v1/recommendations", json={**seeds, "cursor": seeded}).json
        assert (again["generation"], again["items"][0]["sku"]) == (first.id, "c")
        shop.execute(update(Generation).where(Generation.id == first.id).values(state="retired"))
        for gone in (
            shop.client.get(url, query_string={"cursor": cursor}),
            shop.client.post("/v1/recommendations", json={**seeds, "cursor": seeded}),
        ):
            assert (gone.status_code, gone.content_type) == (410, PROBLEM)
            assert gone.json["code"] == "cursor-expired"
    finally:
        shop.execute(delete(IndexEntry).where(IndexEntry.generation_id == second.id))
        shop.execute(delete(Generation).where(Generation.id == second.id))
        shop.execute(update(Generation).where(Generation.id == first.id).values(state="active"))


def test_a_list_goes_on_by_the_image_that_it_began_with(shop: Shop) -> None:
    for sku, colour in (("a", "#d02020"), ("b", "#c82828"), ("c", "#b03030"), ("d", "#2020d0")):
        shop.put(sku, colour)
    shop.work()
    url = "/v1/products/a/similar"
    cursor = get(shop, url, limit=1)["next_cursor"]
    shop.put_image("a", colour_image("#2222d0"))
    shop.work()
    assert shop.skus(url) == ["d", "c", "b"]
    assert shop.skus(url, cursor=cursor) == ["c", "d"]
    shop.execute(delete(ImageVector))
    gone = shop.client.get(url, query_string={"cursor": cursor})
    assert (gone.status_code, gone.json["code"]) == (410, "cursor-expired")


def test_all_processes_take_each_others_cursors(wardrobe: Shop) -> None:
    url = "/v1/products/0001/similar"
    cursor = get(wardrobe, url, limit=1)["next_cursor"]
    with wardrobe.db.read() as session:
        assert len(session.scalars(select(Secret)).one().value) == 32
    other = create_app(replace(wardrobe.services, signing_key=SigningKey(wardrobe.db)))
    answer = other.test_client().get(url, query_string={"cursor": cursor})
    assert answer.json["items"][0]["sku"] == "0003"
