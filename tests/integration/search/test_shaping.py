"""Shaped lists are what a plain search of all vectors makes of them, in either vector store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from support.image_files import colour_image
from support.qdrant_wire import LOCAL_MODE_WARNINGS
from support.shaped_catalogue import COUNT, Oracle
from support.shop import PROBLEM, Shop

from backend.database.models import Product
from backend.filters import FieldType
from backend.indexing import schema
from backend.search import answering
from backend.search.shaping import FIELDS

ROUNDING = 1e-5

pytestmark = LOCAL_MODE_WARNINGS


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
        answer = shop.similar(query, group_by=by, limit=limit)
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
    items = shop.similar(query, group_by="group_id", limit=100)["items"]
    assert len(items) == len(oracle.grouped(oracle.ranked(query), "group_id"))


def test_groups_count_what_passes_the_filter(filled: tuple[Shop, Oracle]) -> None:
    shop, oracle = filled
    query = queries(oracle)[1]
    answer = shop.similar(query, group_by="brand", limit=50, in_stock="true", brand_not="Lumen")

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

        answer = shop.similar(query, restrict="gender,sub_category", limit=30)
        assert_list(answer, oracle.ranked(query, passes)[:30])
        assert answer["meta"]["restricted"] == {
            "gender": [row.gender],
            "sub_category": [row.sub_category],
        }


def test_a_field_without_a_value_does_not_restrict(filled: tuple[Shop, Oracle]) -> None:
    shop, oracle = filled
    query = next(sku for sku, row in oracle.rows.items() if row.brand is None)
    answer = shop.similar(query, restrict="brand", limit=5)
    assert_list(answer, oracle.ranked(query)[:5])
    assert answer["meta"]["restricted"] == {"brand": []}


def test_a_filter_and_a_restriction_of_one_field_both_hold(filled: tuple[Shop, Oracle]) -> None:
    shop, oracle = filled
    query = queries(oracle)[0]
    gender = oracle.rows[query].gender
    others = {row.gender for row in oracle.rows.values()} - {gender}
    both = shop.similar(query, restrict="gender", gender=f"{gender},{others.pop()}", limit=50)
    same = oracle.ranked(query, lambda row: row.gender == gender)[:50]
    assert_list(both, same)
    for neither in ({"gender": others.pop()}, {"gender_not": gender}):
        assert shop.similar(query, restrict="gender", **neither)["items"] == []


def test_every_kind_of_query_is_shaped_alike(filled: tuple[Shop, Oracle]) -> None:
    shop, oracle = filled
    skus = queries(oracle)
    options = {"group_by": "brand", "restrict": ["master_category"], "limit": 7}
    body = {"skus": [*skus, "unknown"], **options}
    batch = shop.client.post("/v1/similar:batch", json=body).json["items"]
    assert batch[-1]["status"] == 404
    for sku, each in zip(skus, batch, strict=False):
        single = shop.similar(sku, **options)
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


# --- order ---------------------------------------------------------------------------------


def boost_of(row: Any, *, now: datetime) -> float:
    """What BOOST adds, written anew."""
    rating = min(1.0, max(0.0, (row.attributes["rating"] - 0) / 5))
    price = min(1.0, max(0.0, (row.price - 90) / (10 - 90)))
    age = (now - row.created_at) / timedelta(days=1)
    fresh = min(1.0, max(0.0, (age - 30) / (0 - 30)))
    return 0.05 * row.in_stock + 0.1 * rating - 0.08 * price + 0.2 * fresh


BOOST = "in_stock:0.05,attributes.rating:0.1:0:5,price:-0.08:90:10,freshness:0.2"


def diverse(oracle: Oracle, r: dict[str, float], diversity: float, limit: int) -> list[str]:
    """Maximal marginal relevance, one product at a time, by comparing all with all."""
    chosen = [max(r, key=lambda sku: r[sku])]
    while len(chosen) < limit:
        left = [sku for sku in r if sku not in chosen]

        def gain(sku: str) -> float:
            closest = max(oracle.score(sku, other) for other in chosen)
            return (1 - diversity) * r[sku] - diversity * closest

        chosen.append(max(left, key=gain))
    return chosen


def test_boosts_reorder_the_nearest_products(filled: tuple[Shop, Oracle]) -> None:
    shop, oracle = filled
    old = {sku for number, sku in enumerate(oracle.rows) if number % 2}
    then = datetime.now(UTC) - timedelta(days=12)
    shop.execute(update(Product).where(Product.sku.in_(old)).values(created_at=then))
    now = datetime.now(UTC)
    with shop.db.read() as session:
        rows = {row.sku: row for row in session.scalars(select(Product))}
        session.expunge_all()
    for query in queries(oracle):
        answer = shop.similar(query, boost=BOOST, limit=8)
        pool = dict(oracle.ranked(query)[: 5 * 8])
        r = {sku: score + boost_of(rows[sku], now=now) for sku, score in pool.items()}
        best = sorted(r, key=lambda sku: -r[sku])[:8]
        assert [it["sku"] for it in answer["items"]] == best
        for it in answer["items"]:
            assert it["score"] == pytest.approx(pool[it["sku"]], abs=ROUNDING)
            assert it["score"] + it["boost"] == pytest.approx(r[it["sku"]], abs=1e-4)
        assert best != list(pool)[:8]


def test_a_boost_of_two_outweighs_every_similarity(filled: tuple[Shop, Oracle]) -> None:
    shop, oracle = filled
    items = shop.similar(queries(oracle)[0], boost="in_stock:2", limit=20)["items"]
    assert all(it["product"]["in_stock"] for it in items)
    lowered = shop.similar(queries(oracle)[0], boost="in_stock:-2", limit=20)["items"]
    assert not any(it["product"]["in_stock"] for it in lowered[:10])


@pytest.mark.parametrize("diversity", [0.3, 0.7])
def test_diverse_lists_are_those_of_the_formula(
    filled: tuple[Shop, Oracle], diversity: float
) -> None:
    shop, oracle = filled
    for query in queries(oracle):
        items = shop.similar(query, diversity=diversity, limit=6)["items"]
        r = dict(oracle.ranked(query)[:30])
        assert [it["sku"] for it in items] == diverse(oracle, r, diversity, 6)
        assert [it["sku"] for it in items] != list(r)[:6]


def test_options_that_shape_a_list_hold_side_by_side(filled: tuple[Shop, Oracle]) -> None:
    shop, oracle = filled
    query = queries(oracle)[1]
    gender = oracle.rows[query].gender

    def passes(row: Any) -> bool:
        return bool(row.gender == gender and row.price <= 80)

    options = {"restrict": "gender", "price_lte": 80, "group_by": "brand", "limit": 5}
    answer = shop.similar(query, boost="attributes.rating:0.2:0:5", diversity=0.4, **options)
    ranked = oracle.grouped(oracle.ranked(query, passes), "brand")[:25]
    r = {sku: score + 0.2 * oracle.rows[sku].attributes["rating"] / 5 for sku, score in ranked}
    assert [it["sku"] for it in answer["items"]] == diverse(oracle, r, 0.4, 5)


def test_a_walk_without_the_filter_gives_the_same_list_and_reasons(
    filled: tuple[Shop, Oracle], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, oracle = filled
    options = {"restrict": "master_category", "group_by": "brand", "diversity": 0.4, "limit": 1}
    asked = {"boost": "attributes.rating:0.2:0:5", "explain": "true", **options}
    modes = set()
    for query in queries(oracle):
        expected = shop.similar(query, **asked)
        again = shop.similar(query, cursor=expected["next_cursor"], **asked)
        with monkeypatch.context() as patch:
            patch.setattr(answering, "COMPARED", 0)
            found = shop.similar(query, **asked)
            further = shop.similar(query, cursor=found["next_cursor"], **asked)
        assert found["items"] == expected["items"]
        assert further["items"] == again["items"]
        assert found["meta"]["left_out"] == expected["meta"]["left_out"]
        modes.add(found["meta"]["search_mode"])
    assert "acorn" in modes


def test_a_walk_that_finds_too_little_is_followed_by_a_search_by_the_filter(
    filled: tuple[Shop, Oracle], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, oracle = filled
    asked = {"restrict": "master_category", "diversity": 0.4, "limit": 4, "explain": "true"}
    query = queries(oracle)[2]
    expected = shop.similar(query, **asked)
    monkeypatch.setattr(answering, "COMPARED", 0)
    monkeypatch.setattr(answering, "WALK_TIMES", 0)
    monkeypatch.setattr(answering, "LOOKED_AT", 2)
    found = shop.similar(query, **asked)
    assert found["items"] == expected["items"]
    assert found["meta"]["search_mode"] == expected["meta"]["search_mode"]


def test_no_option_leaves_the_list_as_it_is(filled: tuple[Shop, Oracle]) -> None:
    shop, oracle = filled
    query = queries(oracle)[0]
    assert_list(shop.similar(query, diversity=0, limit=9), oracle.ranked(query)[:9])


def test_recommendations_are_boosted_by_their_places(filled: tuple[Shop, Oracle]) -> None:
    shop, oracle = filled
    body = {"positive": queries(oracle)[:2], "limit": 5}
    boosted = {**body, "boost": [{"field": "in_stock", "weight": 2}]}
    plain = shop.client.post("/v1/recommendations", json=body | {"limit": 25}).json["items"]
    items = shop.client.post("/v1/recommendations", json=boosted).json["items"]
    expected = [it["sku"] for it in plain if it["product"]["in_stock"]][:5]
    assert [it["sku"] for it in items] == expected
    assert {it["boost"] for it in items} == {2.0}


@pytest.mark.parametrize(
    "boost",
    [
        "price:0.1",
        "price:3:0:1",
        "colour:0.1:0:1",
        "year:0.1:5:5",
        "price:x:0:1",
        "price",
        "in_stock:1.5,freshness:1",
    ],
)
def test_a_boost_that_is_not_bounded_is_refused(filled: tuple[Shop, Oracle], boost: str) -> None:
    shop, oracle = filled
    path = f"/v1/products/{queries(oracle)[0]}/similar"
    answer = shop.client.get(path, query_string={"boost": boost})
    assert (answer.status_code, answer.content_type) == (422, PROBLEM)
    assert [it["parameter"] for it in answer.json["errors"]] == ["boost"]


# --- too few pass --------------------------------------------------------------------------


def test_clauses_are_dropped_in_their_order_while_too_few_pass(
    filled: tuple[Shop, Oracle],
) -> None:
    shop, oracle = filled
    query = queries(oracle)[0]
    row = oracle.rows[query]
    strict = oracle.ranked(
        query, lambda it: it.base_colour == row.base_colour and it.gender == row.gender
    )
    limit = len(strict) + 3
    options = {"restrict": "base_colour", "gender": row.gender, "limit": limit}
    answer = shop.similar(query, relax="year,base_colour,gender", **options)
    wider = list(oracle.ranked(query, lambda it: it.gender == row.gender))
    rest = [it for it in wider if it not in strict][:3]
    assert_list({"items": answer["items"][: len(strict)]}, strict)
    assert_list({"items": answer["items"][len(strict) :]}, rest)
    assert answer["meta"]["relaxed"] == ["base_colour"]  # there is no clause of the year
    assert [it.get("relaxed") for it in answer["items"]] == [None] * len(strict) + [
        ["base_colour"]
    ] * 3
    enough = shop.similar(query, relax="base_colour", **options | {"limit": len(strict)})
    assert enough["meta"]["relaxed"] == []
    assert_list(enough, strict)


def test_a_group_is_shown_once_across_what_was_dropped(filled: tuple[Shop, Oracle]) -> None:
    shop, oracle = filled
    query = queries(oracle)[1]
    options = {"group_by": "brand", "min_score": 0.99, "in_stock": "true", "limit": 100}
    answer = shop.similar(query, relax="min_score,in_stock", **options)
    brands = [it["product"]["brand"] for it in answer["items"] if it["product"]["brand"]]
    assert len(brands) == len(set(brands))
    assert answer["meta"]["relaxed"] == ["min_score", "in_stock"]
    assert len(answer["items"]) == len(oracle.grouped(oracle.ranked(query), "brand"))


def test_batches_and_recommendations_relax_too(filled: tuple[Shop, Oracle]) -> None:
    shop, oracle = filled
    query = queries(oracle)[0]
    options = {"filter": {"brand": ["Lumen"], "year": 2013}, "relax": ["year", "brand"]}
    single = shop.client.post("/v1/similar", json={"sku": query, "limit": 40, **options}).json
    body = {"skus": [query], "limit": 40, **options}
    [each] = shop.client.post("/v1/similar:batch", json=body).json["items"]
    assert [it["sku"] for it in each["items"]] == [it["sku"] for it in single["items"]]
    assert each["relaxed"] == single["meta"]["relaxed"] == ["year", "brand"]
    body = {"positive": [query], "limit": 60, **options}
    listed = shop.client.post("/v1/recommendations", json=body).json
    assert listed["meta"]["relaxed"] == ["year", "brand"]
    assert len(listed["items"]) == 60
    strict = [it for it in listed["items"] if "relaxed" not in it]
    assert {(it["product"]["brand"], it["product"]["year"]) for it in strict} == {("Lumen", 2013)}
    assert listed["items"][: len(strict)] == strict


def test_what_no_clause_is_called_is_refused(filled: tuple[Shop, Oracle]) -> None:
    shop, oracle = filled
    body = {"sku": queries(oracle)[0], "relax": ["nothing"]}
    answer = shop.client.post("/v1/similar", json=body)
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"] == "/relax"
