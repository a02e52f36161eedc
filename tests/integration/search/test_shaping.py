"""Shaped lists are what a plain search of all vectors makes of them, in either vector store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from support.image_files import colour_image
from support.qdrant_wire import LOCAL_MODE_WARNINGS, Wire
from support.shaped_catalogue import COUNT, Oracle, fill
from support.shop import PROBLEM, Shop

from backend.filters import FieldType
from backend.indexing import schema
from backend.search.shaping import FIELDS
from backend.settings import Settings

ROUNDING = 1e-5

pytestmark = LOCAL_MODE_WARNINGS


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.stop()


@pytest.fixture(scope="module", params=["embedded", "server"])
def filled(
    request: pytest.FixtureRequest,
    api_settings: Settings,
    wire: Wire,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Shop, Oracle]]:
    """A shop of the sample's products, in either vector store, and its oracle."""
    server = {"qdrant_url": "http://127.0.0.1:1", "qdrant_grpc_port": wire.port}
    changes = server if request.param == "server" else {}
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("shaped")
        shop = stack.enter_context(Shop(api_settings, data_dir=folder, max_batch=50, **changes))
        fill(shop)
        yield shop, Oracle.of(shop)


def ask(shop: Shop, sku: str, **query: Any) -> Any:
    answer = shop.client.get(f"/v1/products/{sku}/similar", query_string=query)
    assert answer.status_code == 200, answer.text
    return answer.json


def assert_list(answer: Any, expected: list[tuple[str, float]]) -> None:
    """Compare a list with the oracle's; of products that are equally near, either may be first."""
    found = [(it["sku"], it["score"]) for it in answer["items"]]
    assert [score for _, score in found] == pytest.approx([it for _, it in expected], abs=ROUNDING)
    scores = dict(expected)
    assert len({sku for sku, _ in found}) == len(found)
    for sku, score in found:
        assert scores.get(sku) == pytest.approx(score, abs=ROUNDING)


def queries(oracle: Oracle) -> list[str]:
    """A garment, a shoe and a product without a group."""
    wanted = dict.fromkeys(("Apparel", "Footwear", "Accessories"))
    for sku, row in oracle.rows.items():
        if row.master_category in wanted and wanted[row.master_category] is None:
            wanted[row.master_category] = sku
    return [sku for sku in wanted.values() if sku]


def test_each_field_of_a_shaped_list_can_be_filtered_by() -> None:
    keyword: FieldType = "keyword"
    assert {schema()[name] for name in FIELDS} == {keyword}


@pytest.mark.parametrize("limit", [5, 100])
@pytest.mark.parametrize("by", ["group_id", "brand"])
def test_of_each_group_the_best_product_is_shown(
    filled: tuple[Shop, Oracle], by: str, limit: int
) -> None:
    shop, oracle = filled
    for query in queries(oracle):
        answer = ask(shop, query, group_by=by, limit=limit)
        expected = oracle.grouped(oracle.ranked(query), by)[:limit]
        assert_list(answer, expected)
        for it in answer["items"]:
            assert it["group_size"] == oracle.size(it["sku"], by)
        assert not answer["meta"]["index_lags"]


def test_a_group_of_most_products_hides_none_of_the_others(filled: tuple[Shop, Oracle]) -> None:
    shop, oracle = filled
    query = queries(oracle)[0]
    largest = max(oracle.size(sku, "group_id") for sku in oracle.rows)
    assert largest > COUNT / 3  # more than the first rounds find
    items = ask(shop, query, group_by="group_id", limit=100)["items"]
    assert len(items) == len(oracle.grouped(oracle.ranked(query), "group_id"))


def test_groups_count_what_passes_the_filter(filled: tuple[Shop, Oracle]) -> None:
    shop, oracle = filled
    query = queries(oracle)[1]
    answer = ask(shop, query, group_by="brand", limit=50, in_stock="true", brand_not="Lumen")

    def passes(row: Any) -> bool:
        return bool(row.in_stock) and row.brand != "Lumen"

    expected = oracle.grouped(oracle.ranked(query, passes), "brand")[:50]
    assert_list(answer, expected)
    for it in answer["items"]:
        assert it["group_size"] == oracle.size(it["sku"], "brand", passes)


def test_a_restricted_list_has_the_values_of_the_query_product(
    filled: tuple[Shop, Oracle],
) -> None:
    shop, oracle = filled
    for query in queries(oracle):
        row = oracle.rows[query]

        def passes(other: Any, row: Any = row) -> bool:
            return (other.gender, other.sub_category) == (row.gender, row.sub_category)

        answer = ask(shop, query, restrict="gender,sub_category", limit=30)
        assert_list(answer, oracle.ranked(query, passes)[:30])
        assert answer["meta"]["restricted"] == {
            "gender": [row.gender],
            "sub_category": [row.sub_category],
        }


def test_a_field_without_a_value_does_not_restrict(filled: tuple[Shop, Oracle]) -> None:
    shop, oracle = filled
    query = next(sku for sku, row in oracle.rows.items() if row.brand is None)
    answer = ask(shop, query, restrict="brand", limit=5)
    assert_list(answer, oracle.ranked(query)[:5])
    assert answer["meta"]["restricted"] == {"brand": []}


def test_a_filter_and_a_restriction_of_one_field_both_hold(filled: tuple[Shop, Oracle]) -> None:
    shop, oracle = filled
    query = queries(oracle)[0]
    gender = oracle.rows[query].gender
    others = {row.gender for row in oracle.rows.values()} - {gender}
    both = ask(shop, query, restrict="gender", gender=f"{gender},{others.pop()}", limit=50)
    same = oracle.ranked(query, lambda row: row.gender == gender)[:50]
    assert_list(both, same)
    for neither in ({"gender": others.pop()}, {"gender_not": gender}):
        assert ask(shop, query, restrict="gender", **neither)["items"] == []


def test_every_kind_of_query_is_shaped_alike(filled: tuple[Shop, Oracle]) -> None:
    shop, oracle = filled
    skus = queries(oracle)
    options = {"group_by": "brand", "restrict": ["master_category"], "limit": 7}
    body = {"skus": [*skus, "unknown"], **options}
    batch = shop.client.post("/v1/similar:batch", json=body).json["items"]
    assert batch[-1]["status"] == 404
    for sku, each in zip(skus, batch, strict=False):
        single = ask(shop, sku, **options)
        assert_list(each, [(it["sku"], it["score"]) for it in single["items"]])
        assert each["restricted"] == single["meta"]["restricted"]
        assert all("group_size" in it for it in each["items"])
        posted = shop.client.post("/v1/similar", json={"sku": sku, **options}).json
        assert_list(posted, [(it["sku"], it["score"]) for it in single["items"]])
    image = shop.client.post(
        "/v1/similar?group_by=group_id&limit=100",
        data=colour_image("#d02020"),
        content_type="image/png",
    ).json["items"]
    groups = [it["product"]["group_id"] for it in image if it["product"]["group_id"]]
    assert len(groups) == len(set(groups))
    assert {it["sku"] for it in image if it["group_size"] == 1} >= {
        sku for sku, row in oracle.rows.items() if row.group_id is None
    }


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("/v1/similar?restrict=gender", {"data": b"x", "content_type": "image/png"}),
        ("/v1/products/1/similar?restrict=price", {}),
        ("/v1/products/1/similar?group_by=link", {}),
        ("/v1/trending?restrict=gender", {}),
    ],
    ids=["image", "field", "group", "no-product"],
)
def test_what_cannot_be_shaped_is_refused(
    filled: tuple[Shop, Oracle], path: str, options: dict[str, Any]
) -> None:
    answer = filled[0].client.open(path, method="POST" if options else "GET", **options)
    assert (answer.status_code, answer.content_type) == (422, PROBLEM)
    assert answer.json["errors"][0]["parameter"] in ("restrict", "group_by")


def test_recommendations_are_grouped_and_restricted(filled: tuple[Shop, Oracle]) -> None:
    shop, oracle = filled
    garment, shoe, _ = queries(oracle)
    body = {
        "positive": [garment, shoe],
        "group_by": "group_id",
        "restrict": ["master_category"],
        "limit": 20,
    }
    answer = shop.client.post("/v1/recommendations", json=body)
    assert answer.status_code == 200, answer.text
    items = answer.json["items"]
    assert answer.json["meta"]["restricted"] == {"master_category": ["Apparel", "Footwear"]}
    groups = {
        row.group_id
        for sku, row in oracle.rows.items()
        if row.master_category in ("Apparel", "Footwear") and sku not in (garment, shoe)
    }
    shown = [it["product"]["group_id"] for it in items]
    assert sorted(shown) == sorted(groups)[:20]  # all groups, each once
    for it in items:
        size = oracle.size(it["sku"], "group_id")
        assert it["group_size"] == size


def test_lists_of_what_is_new_are_grouped(filled: tuple[Shop, Oracle]) -> None:
    shop, _ = filled
    items = shop.client.get("/v1/new-products?group_by=group_id&limit=100").json["items"]
    groups = [it["product"]["group_id"] for it in items if it["product"]["group_id"]]
    assert groups.count("variants") == 1
    assert len(groups) == len(set(groups))
