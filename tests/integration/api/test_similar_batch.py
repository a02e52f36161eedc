"""`/v1/similar:batch`: each sku has the answer that a single request gives, or its problem."""

from __future__ import annotations

from typing import Any

import pytest
from support.rows import traced
from support.shop import PROBLEM, Shop

SKUS = ["0001", "0002", "0003", "0004", "0005"]


def ask(shop: Shop, **body: Any) -> Any:
    answer = shop.client.post("/v1/similar:batch", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"limit": 2},
        {"filter": {"gender": ["Women", "Men"], "year": {"gte": 2011}}},
        {"exclude": ["0002", "unknown"], "fields": ["price"]},
        {"min_score": 0.9, "fields": ["images"]},
        {"explain": True, "limit": 2, "filter": {"year": {"gte": 2011}}, "restrict": ["gender"]},
    ],
    ids=["plain", "limit", "filter", "exclude", "least-score", "explained"],
)
def test_each_answer_is_that_of_a_single_request(wardrobe: Shop, options: dict[str, Any]) -> None:
    answer = ask(wardrobe, skus=SKUS, **options)
    assert [item["sku"] for item in answer["items"]] == SKUS
    for item in answer["items"]:
        body = {"sku": item["sku"], **options}
        single = wardrobe.client.post("/v1/similar", json=body).json
        assert item["status"] == 200
        assert item["items"] == single["items"]
        assert item["query_state"] == single["meta"]["query_state"]
        assert item["index_lags"] == single["meta"]["index_lags"]
        for name in ("rules", "left_out"):
            assert item.get(name) == single["meta"].get(name)
            assert (name in item) == bool(options.get("explain"))
        assert answer["generation"] == single["generation"]
        assert answer["meta"]["search_mode"] == single["meta"]["search_mode"]


def test_a_bad_sku_has_its_problem_and_fails_no_other(wardrobe: Shop) -> None:
    wardrobe.put("bare")
    wardrobe.work()
    answer = ask(wardrobe, skus=["unknown", "0001", "bare", "0001"], limit=1)
    first, good, bare, again = answer["items"]
    assert (first["status"], first["problem"]["code"]) == (404, "unknown-product")
    assert (bare["status"], bare["problem"]["code"]) == (409, "not-searchable")
    assert bare["problem"]["state"] == "quarantined"
    assert good.pop("recommendation_id") != again.pop("recommendation_id")
    assert good == again
    assert [item["sku"] for item in good["items"]] == ["0002"]
    assert "problem" not in good
    assert "items" not in first


def test_without_any_good_sku_there_are_only_problems(wardrobe: Shop) -> None:
    answer = ask(wardrobe, skus=["unknown"])
    assert answer["generation"] is None
    assert answer["items"][0]["status"] == 404
    assert ask(wardrobe, skus=[])["items"] == []


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"skus": [str(number) for number in range(6)]}, "/skus"),
        ({}, "/skus"),
        ({"skus": ["0001", "."]}, "/skus"),
        ({"skus": ["0001"], "limit": 0}, "/limit"),
        ({"skus": ["0001"], "filter": {"year": "x"}}, "/filter/year"),
    ],
    ids=["too-many", "none", "no-sku", "limit", "filter"],
)
def test_what_is_wrong_for_all_is_refused(wardrobe: Shop, body: Any, pointer: str) -> None:
    refused = wardrobe.client.post("/v1/similar:batch", json=body)
    assert (refused.status_code, refused.content_type) == (422, PROBLEM)
    assert refused.json["errors"][0]["pointer"] == pointer


def test_what_changed_since_it_was_indexed_is_compared_as_it_is_now(wardrobe: Shop) -> None:
    wardrobe.client.patch("/v1/products/0002", json={"in_stock": False})
    wardrobe.client.delete("/v1/products/0005")
    answer = ask(wardrobe, skus=["0001", "0004"], filter={"in_stock": True})
    for item in answer["items"]:
        assert not {"0002", "0003", "0005"} & {it["sku"] for it in item["items"]}
        assert item["index_lags"]


def test_a_batch_takes_two_statements(wardrobe: Shop) -> None:
    ask(wardrobe, skus=SKUS)
    with traced(wardrobe.db) as found:
        ask(wardrobe, skus=SKUS)
    assert len(found) == 2
