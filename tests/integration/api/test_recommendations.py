"""Lists over REST: for shoppers, visits and examples, together, trending and new."""

from __future__ import annotations

from typing import Any

import pytest
from support.rows import traced
from support.shop import PROBLEM, Shop

REDS = ["red-1", "red-2", "red-3", "red-4"]
BLUES = ["blue-1", "blue-2", "blue-3", "blue-4"]
COLOURS = dict(
    zip(
        [*REDS, *BLUES],
        ["#ff0000", "#f00808", "#e81010", "#e01818", "#0000ff", "#0808f0", "#1010e8", "#1818e0"],
        strict=True,
    )
)


@pytest.fixture
def colours(shop: Shop) -> Shop:
    """Four products that look red, and four that look blue."""
    for sku, colour in COLOURS.items():
        kind = "Shirts" if sku.startswith("red") else "Jeans"
        shop.put(sku, colour, article_type=kind, sub_category=kind)
    shop.work()
    return shop


def act(shop: Shop, *events: tuple[str, str], **about: Any) -> None:
    items = [{"kind": kind, "sku": sku, **about} for kind, sku in events]
    response = shop.client.post("/v1/events:batch", json={"items": items})
    assert response.json["stored"] == len(events), response.text
    shop.work()


def ask(shop: Shop, **body: Any) -> Any:
    response = shop.client.post("/v1/recommendations", json=body)
    assert response.status_code == 200, response.text
    return response.json


def skus(answer: Any) -> list[str]:
    return [item["sku"] for item in answer["items"]]


def test_a_shopper_gets_what_looks_like_what_they_did(colours: Shop) -> None:
    act(colours, ("view", "red-1"), user="ann")
    answer = colours.client.get("/v1/users/ann/recommendations?limit=3").json
    assert skus(answer) == ["red-2", "red-3", "red-4"]
    assert {it["reason"] for it in answer["items"]} == {"look"}
    assert answer["items"][0]["because"] == [{"sku": "red-1", "share": 1.0}]
    assert answer["meta"]["tastes"] == [{"share": 1.0, "skus": ["red-1"]}]
    assert answer["recommendation_id"] == answer["request_id"]


def test_a_list_takes_six_statements_and_a_search_for_each_taste(
    colours: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5, 9):
        colours.put(f"red-{number}", f"#{0xC0 + number:02x}2020", article_type="Shirts")
    colours.work()
    act(colours, ("view", "red-1"), ("cart", "red-2"), ("view", "blue-1"), user="ann")
    path = "/v1/users/ann/recommendations?limit=2"
    colours.client.get(path)  # some is read once only
    searches: list[Any] = []
    nearest = colours.index.nearest

    def noted(*arguments: Any, **options: Any) -> Any:
        searches.append(arguments)
        return nearest(*arguments, **options)

    monkeypatch.setattr(colours.index, "nearest", noted)
    with traced(colours.db) as told:
        answer = colours.client.get(path).json
    assert len(answer["items"]) == 2
    assert len(searches) == len(answer["meta"]["tastes"]) == 2
    selects = [it for it in told if it.startswith("SELECT")]
    assert len(selects) == 6, selects


def test_two_tastes_share_the_list_and_an_average_does_not(colours: Shop) -> None:
    act(colours, ("view", "red-1"), ("view", "blue-1"), session="visit")
    answer = ask(colours, session="visit", limit=4)
    assert sorted(skus(answer)) == ["blue-2", "blue-3", "red-2", "red-3"]
    assert [taste["skus"] for taste in answer["meta"]["tastes"]] == [["red-1"], ["blue-1"]]
    average = ask(colours, session="visit", limit=4, strategy="average")
    assert len(average["meta"]["tastes"]) == 1


def test_what_was_bought_is_left_out_and_what_was_sent_back_speaks_against(
    colours: Shop,
) -> None:
    act(colours, ("purchase", "red-1"), ("return", "blue-1"), user="ann")
    found = skus(ask(colours, user="ann", limit=3))
    assert found == ["red-2", "red-3", "red-4"]
    assert not {"red-1", "blue-1"} & set(skus(ask(colours, user="ann", limit=20)))


def test_named_examples_need_no_history(colours: Shop) -> None:
    answer = ask(
        colours,
        positive=["blue-1", {"sku": "unknown", "weight": 2}],
        negative=["red-1"],
        limit=2,
    )
    assert skus(answer) == ["blue-2", "blue-3"]
    assert answer["unresolved"] == [{"sku": "unknown", "state": "unknown"}]


def test_it_fails_only_if_no_example_can_be_used(colours: Shop) -> None:
    colours.put("pending", None)
    response = colours.client.post("/v1/recommendations", json={"positive": ["no", "pending"]})
    assert (response.status_code, response.mimetype) == (422, PROBLEM)
    assert response.json["code"] == "no-example"
    assert "no, pending" in response.json["detail"]


def test_of_whom_nothing_is_known_gets_what_is_popular_then_what_is_new(colours: Shop) -> None:
    act(colours, ("purchase", "red-4"), ("purchase", "red-3"), ("view", "blue-4"), user="bob")
    answer = ask(colours, session="first visit", limit=8)
    assert set(skus(answer)[:2]) == {"red-3", "blue-4"} or set(skus(answer)[:2]) == {
        "red-4",
        "blue-4",
    }  # the best of each article type first
    reasons = [it["reason"] for it in answer["items"]]
    assert reasons == ["popular"] * 3 + ["new"] * 5
    assert len(set(skus(answer))) == 8


def test_filters_exclusions_and_members_hold_for_every_list(colours: Shop) -> None:
    act(colours, ("view", "red-1"), ("view", "blue-1"), user="ann")
    answer = ask(
        colours,
        user="ann",
        filter={"article_type": ["Jeans"]},
        exclude=["blue-2"],
        fields=["sku", "article_type"],
    )
    assert skus(answer)[:2] == ["blue-3", "blue-4"]
    assert {it["product"]["article_type"] for it in answer["items"]} == {"Jeans"}
    assert "blue-2" not in skus(answer)
    assert answer["items"][0]["product"] == {"sku": "blue-3", "article_type": "Jeans"}


def test_exploring_shows_what_nobody_has_looked_at_and_is_repeatable(colours: Shop) -> None:
    act(colours, *[("view", sku) for sku in ("red-2", "red-3")], user="bob")
    act(colours, ("cart", "red-1"), user="ann")
    first = ask(colours, user="ann", limit=4, explore=0.5)
    explored = [it["sku"] for it in first["items"] if it["reason"] == "explored"]
    assert len(explored) == 2
    assert not set(explored) & {"red-1", "red-2", "red-3"}
    assert skus(ask(colours, user="ann", limit=4, explore=0.5)) == skus(first)


def test_together_goes_by_baskets_and_a_new_product_inherits(colours: Shop) -> None:
    for basket in range(3):
        act(colours, ("purchase", "red-2"), ("purchase", "blue-4"), user=f"u{basket}", basket="o")
    warm = colours.client.get("/v1/products/red-2/together?limit=1").json["items"][0]
    assert (warm["sku"], warm["reason"]) == ("blue-4", "together")

    cold = colours.client.get("/v1/products/red-1/together?complementary=true").json["items"]
    assert cold[0]["sku"] == "blue-4"
    assert cold[0]["reason"] == "inherited"
    assert cold[0]["because"][0]["sku"] == "red-2"
    assert all(it["product"]["sub_category"] == "Jeans" for it in cold)


def test_together_answers_for_a_product_without_a_vector(colours: Shop) -> None:
    colours.put("plain", None)
    assert colours.client.get("/v1/products/plain/together").json["items"] == []
    assert colours.client.get("/v1/products/none/together").status_code == 404


def test_lists_of_trending_and_new_products_obey_filters_and_leave_out_what_was_removed(
    colours: Shop,
) -> None:
    act(colours, ("view", "blue-1"), ("purchase", "red-1"), user="ann")
    assert colours.skus("/v1/trending") == ["red-1", "blue-1"]
    assert colours.skus("/v1/trending", article_type="Jeans") == ["blue-1"]
    assert colours.skus("/v1/new-products", limit=2) == ["blue-4", "blue-3"]
    colours.client.delete("/v1/products/red-1")
    assert colours.skus("/v1/trending") == ["blue-1"]


def test_a_filter_finds_what_is_less_popular_and_older_than_many_others(colours: Shop) -> None:
    belts = [f"belt-{number}" for number in range(110)]
    for sku in belts:
        colours.put(sku, None, article_type="Belts")
    act(colours, ("view", "blue-1"), user="bob")
    act(colours, *(("purchase", sku) for sku in belts), user="ann")
    url = "/v1/users/nobody/recommendations"
    found = colours.client.get(f"{url}?limit=2&article_type=Jeans").json["items"]
    assert [(it["sku"], it["reason"]) for it in found] == [("blue-1", "popular"), ("blue-4", "new")]


@pytest.mark.parametrize(
    "query", ["strategy=best", "leave_out=all", "min_score=0.5", "limit=0"], ids=str
)
def test_wrong_parameters_are_named(colours: Shop, query: str) -> None:
    response = colours.client.get(f"/v1/users/ann/recommendations?{query}")
    assert (response.status_code, response.mimetype) == (422, PROBLEM)
    assert response.json["errors"][0]["parameter"] == query.partition("=")[0]


def test_a_product_is_completed_by_categories_and_looks_where_nobody_acted(shop: Shop) -> None:
    kinds = {"shirt": "Topwear", "jeans": "Bottomwear", "watch": "Watches"}
    for number, colour in enumerate(["#ff0000", "#f80404", "#0000ff", "#f00808"]):
        for sku, kind in kinds.items():
            shop.put(f"{sku}-{number}", colour, sub_category=kind)
    shop.put("shirt-new", "#ff0000", sub_category="Topwear")
    shop.put("bag", "#ff0000", sub_category="Bags")
    shop.put("odd", "#ff0000")
    shop.work()
    act(shop, ("purchase", "shirt-3"), ("purchase", "jeans-3"), user="a", basket="a")
    act(shop, ("purchase", "shirt-3"), ("purchase", "jeans-3"), user="b", basket="b")
    act(shop, ("view", "shirt-3"), ("view", "watch-3"), user="c", session="c")

    path = "/v1/products/shirt-new/together?complementary=true&limit=20"
    items = shop.client.get(path).json["items"]
    by_reason = [(it["reason"], it["sku"].partition("-")[0]) for it in items]
    assert {it["sku"] for it in items[:2]} == {"jeans-3", "watch-3"}  # as shirt-3 goes with them
    assert [reason for reason, _ in by_reason[2:]] == ["category"] * 6 + ["look"]
    assert items[-1]["sku"] == "bag"  # nobody bought one with a shirt
    assert not [it for it in items if it["product"]["sub_category"] == "Topwear"]
    first = next(it for it in items if it["reason"] == "category")
    assert first["sku"] == "jeans-0"  # the category that was bought most often, and red
    assert first["because"] == [{"sku": "shirt-new", "share": 1.0}]
    assert {"jeans", "watch"} >= {sku for reason, sku in by_reason if reason == "category"}

    watches = shop.client.get(f"{path}&sub_category=Watches").json["items"]
    assert {it["product"]["sub_category"] for it in watches} == {"Watches"}
    assert "category" in {it["reason"] for it in watches}
    assert shop.client.get("/v1/products/odd/together?complementary=true").status_code == 200


def test_a_match_has_no_meaning_in_a_list_for_a_shopper(colours: Shop) -> None:
    refused = [
        colours.client.get("/v1/users/ann/recommendations?min_match=0.5"),
        colours.client.post("/v1/recommendations", json={"user": "ann", "min_match": 0.5}),
    ]
    assert [it.status_code for it in refused] == [422, 422]
    assert all("min_match" in it.text for it in refused)
    shown = colours.client.get("/v1/users/ann/recommendations").json["items"]
    assert shown
    assert not any("match" in it for it in shown)
