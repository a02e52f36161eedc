"""Lists with rules are what a plain application of the rules to all vectors makes of them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from sqlalchemy import delete
from support.qdrant_wire import LOCAL_MODE_WARNINGS
from support.shaped_catalogue import Oracle
from support.shop import Shop

from backend.database.models import Placement

URL = "/v1/admin/rules"
ROUNDING = 1e-5

pytestmark = LOCAL_MODE_WARNINGS


@pytest.fixture
def ruled(filled: tuple[Shop, Oracle]) -> Iterator[tuple[Shop, Oracle]]:
    """The same, without rules before and afterwards."""
    forget(filled[0])
    yield filled
    forget(filled[0])


def forget(shop: Shop) -> None:
    shop.execute(delete(Placement))
    for rule in shop.client.get(f"{URL}?limit=100").json["items"]:
        shop.client.delete(f"{URL}/{rule['id']}")


def add(shop: Shop, **settings: Any) -> Any:
    answer = shop.client.post(URL, json=settings)
    assert answer.status_code == 201, answer.text
    return answer.json


# --- the oracle: rules applied one by one to all products ------------------------------------


def matches(rule: Mapping[str, Any], row: Any) -> bool:
    if "skus" in rule:
        return row.sku in rule["skus"]
    return passes(rule["filter"], row)


def passes(where: Mapping[str, Any], row: Any) -> bool:
    for name, wanted in where.items():
        is_open = name.startswith("attributes.")
        value = row.attributes.get(name.split(".", 1)[1]) if is_open else getattr(row, name)
        if isinstance(wanted, dict):
            if "not" in wanted and value in wanted["not"]:
                return False
            if "gte" in wanted and (value is None or value < wanted["gte"]):
                return False
            if "lt" in wanted and (value is None or value >= wanted["lt"]):
                return False
        elif value not in (wanted if isinstance(wanted, list) else [wanted]):
            return False
    return True


def expected(
    oracle: Oracle, query: str, rules: Sequence[Mapping[str, Any]], limit: int, where: Any = None
) -> list[str]:
    """Return the skus of a list; `rules` are settings with an `id`."""
    order = sorted(rules, key=lambda it: (it.get("priority", 100), it["id"]))
    about = oracle.rows[query]
    order = [it for it in order if passes(it.get("condition", {}), about)]
    ranked = [
        (sku, score)
        for sku, score in oracle.ranked(query)
        if passes(where or {}, oracle.rows[sku])
        and not any(it["action"] == "hide" and matches(it, oracle.rows[sku]) for it in order)
    ]
    places: dict[int, str] = {}
    allowed = {sku for sku, _ in ranked if oracle.rows[sku].in_stock}
    for rule in (it for it in order if it["action"] == "pin"):
        first = rule.get("position", 1)
        names = rule.get("skus") or [
            next(
                (
                    sku
                    for sku, _ in ranked
                    if sku in allowed - set(places.values()) and matches(rule, oracle.rows[sku])
                ),
                None,
            )
        ]
        for wanted, sku in enumerate(names, first):
            free = next((at for at in range(wanted, limit + 1) if at not in places), None)
            if sku in allowed and sku not in places.values() and free is not None:
                places[free] = sku
    left = limit - len(places)
    weights = [it for it in order if it["action"] in ("boost", "bury")]
    rest = [(sku, score) for sku, score in ranked if sku not in places.values()]
    if weights:
        rest = rest[: 5 * max(1, left)]

        def total(sku: str, score: float) -> float:
            amounts = [
                it.get("weight", 0.1) * (1 if it["action"] == "boost" else -1)
                for it in weights
                if matches(it, oracle.rows[sku])
            ]
            return score + min(2.0, max(-2.0, sum(amounts)))

        rest = sorted(rest, key=lambda it: -total(*it))
    others = iter([sku for sku, _ in rest][:left])
    found = [places.get(at) or next(others, None) for at in range(1, limit + 1)]
    return [sku for sku in found if sku is not None]


FILTERS: list[dict[str, Any]] = [
    {"gender": "Men"},
    {"master_category": ["Footwear", "Accessories"]},
    {"brand": {"not": ["Lumen"]}, "in_stock": True},
    {"price": {"gte": 30, "lt": 70}},
    {"attributes.fit": "slim", "attributes.rating": {"gte": 3}},
    {"base_colour": ["Black", "Blue"]},
]


def drawn(rng: random.Random, skus: Sequence[str]) -> dict[str, Any]:
    action = rng.choice(["pin", "pin", "hide", "boost", "bury"])
    about: dict[str, Any] = {"skus": rng.sample(skus, rng.randint(1, 3))}
    if rng.random() < 0.5:
        about = {"filter": rng.choice(FILTERS)}
    rule = {"action": action, **about, "priority": rng.randint(98, 102)}
    if action == "pin":
        rule["position"] = rng.randint(1, 14)
    if action in ("boost", "bury"):
        rule["weight"] = rng.choice([0.05, 0.2, 2.0])
    if rng.random() < 0.3:
        rule["condition"] = rng.choice(FILTERS[:2])
    return rule


@pytest.mark.parametrize("seed", range(12))
def test_lists_are_those_of_the_plain_application_of_drawn_rules(
    ruled: tuple[Shop, Oracle], seed: int
) -> None:
    shop, oracle = ruled
    rng = random.Random(seed)
    skus = sorted(oracle.rows)
    made = [drawn(rng, skus) for _ in range(rng.randint(1, 6))]
    rules = [it | {"id": add(shop, **it)["id"]} for it in made]
    queries = rng.sample(skus, 4)
    limit, where = rng.choice([3, 10, 25]), rng.choice([None, {"gender": "Men"}])
    body = {"skus": queries, "limit": limit, **({"filter": where} if where else {})}
    batch = shop.client.post("/v1/similar:batch", json=body).json["items"]
    for query, each in zip(queries, batch, strict=True):
        single = shop.similar(query, limit=limit, explain="true", **(where or {}))
        found = [it["sku"] for it in single["items"]]
        assert [it["sku"] for it in each["items"]] == found
        assert_alike(oracle, query, found, expected(oracle, query, rules, limit, where))
        for item in single["items"]:
            assert item["score"] == pytest.approx(oracle.score(query, item["sku"]), abs=ROUNDING)


def assert_alike(oracle: Oracle, query: str, found: list[str], wanted: list[str]) -> None:
    """Compare two lists; of products that are equally near, either may stand first."""
    assert len(found) == len(set(found)) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        if one != other:
            scores = oracle.score(query, one), oracle.score(query, other)
            assert scores[0] == pytest.approx(scores[1], abs=ROUNDING), (found, wanted)


def test_a_hidden_majority_hides_none_of_the_others(ruled: tuple[Shop, Oracle]) -> None:
    shop, oracle = ruled
    query = next(sku for sku, row in oracle.rows.items() if row.master_category == "Apparel")
    add(shop, action="hide", filter={"master_category": "Apparel"})
    add(shop, action="hide", filter={"master_category": "Footwear", "in_stock": True})
    answer = shop.similar(query, limit=20)
    wanted = [
        sku
        for sku, _ in oracle.ranked(query)
        if (row := oracle.rows[sku]).master_category != "Apparel"
        and not (row.master_category == "Footwear" and row.in_stock)
    ]
    assert_alike(oracle, query, [it["sku"] for it in answer["items"]], wanted[:20])
    assert not answer["meta"]["index_lags"]


def test_a_pinned_product_stands_for_its_group(ruled: tuple[Shop, Oracle]) -> None:
    shop, oracle = ruled
    query = next(sku for sku, row in oracle.rows.items() if row.group_id is None)
    in_stock = [sku for sku, row in oracle.rows.items() if row.group_id == "variants"]
    pinned = next(sku for sku in reversed(in_stock) if oracle.rows[sku].in_stock)
    rule = add(shop, action="pin", skus=[pinned, in_stock[0]], position=2)
    items = shop.similar(query, limit=10, group_by="group_id")["items"]
    assert (items[1]["sku"], items[1]["pinned_by"]) == (pinned, rule["id"])
    assert items[1]["group_size"] == oracle.size(pinned, "group_id")
    groups = [it["product"]["group_id"] for it in items]
    assert groups.count("variants") == 1


def test_pins_pass_the_whole_filter_and_relaxed_clauses_fill_the_rest(
    ruled: tuple[Shop, Oracle],
) -> None:
    shop, oracle = ruled
    query, pinned = [sku for sku, row in oracle.rows.items() if row.in_stock and row.brand][:2]
    brand = oracle.rows[pinned].brand
    add(shop, action="pin", skus=[pinned], position=1)
    answer = shop.similar(query, limit=30, brand=brand, relax="brand")
    first, *others = answer["items"]
    assert (first["sku"], first.get("relaxed")) == (pinned, None)
    assert len(others) == 29
    assert len({it["sku"] for it in answer["items"]}) == 30
    assert answer["meta"]["relaxed"] == ["brand"]


def test_pages_of_a_ruled_list_repeat_nothing_and_miss_nothing(
    ruled: tuple[Shop, Oracle],
) -> None:
    shop, oracle = ruled
    query, *others = sorted(oracle.rows)
    in_stock = [sku for sku in reversed(others) if oracle.rows[sku].in_stock]
    hidden = [sku for sku in others if sku not in in_stock][:3]
    add(shop, action="pin", skus=in_stock[:2], position=2)
    add(shop, action="hide", skus=hidden)
    found: list[str] = []
    options: dict[str, Any] = {"limit": 25}
    while True:
        page = shop.similar(query, **options)
        found += [it["sku"] for it in page["items"]]
        if page["next_cursor"] is None:
            break
        options["cursor"] = page["next_cursor"]
    assert found[1:3] == in_stock[:2]
    assert sorted(found) == sorted(set(others) - set(hidden))


# --- previews --------------------------------------------------------------------------------


def test_a_preview_says_what_the_stored_rule_then_does(ruled: tuple[Shop, Oracle]) -> None:
    shop, oracle = ruled
    shop.client.put("/v1/admin/placements/pdp", json={"limit": 5, "filter": {"in_stock": True}})
    rule = {"action": "bury", "filter": {"gender": "Men"}, "weight": 2, "placement": "pdp"}
    body = {"rules": [rule], "sample": 30, "seed": 4}
    answer = shop.client.post(f"{URL}:preview", json=body)
    assert answer.status_code == 200, answer.text
    shown = answer.json
    assert (shown["eligible"], shown["sampled"]) == (len(oracle.rows), 30)
    assert (shown["placement"], shown["limit"], len(shown["examples"])) == ("pdp", 5, 3)
    assert shop.client.post(f"{URL}:preview", json=body).json == shown

    def lists() -> dict[str, list[str]]:
        return {
            sku: [it["sku"] for it in shop.similar(sku, placement="pdp")["items"]]
            for sku in oracle.rows
        }

    before = lists()
    assert all(it["before"] == before[it["sku"]] for it in shown["examples"])
    stored = add(shop, **rule)
    after = lists()
    assert all(it["after"] == after[it["sku"]] for it in shown["examples"])
    everything = shop.client.post(
        f"{URL}:preview", json={"without": [stored["id"]], "sample": 200}
    ).json
    assert everything["sampled"] == len(oracle.rows)
    assert everything["changed"] == sum(before[sku] != after[sku] for sku in before)
    same = shop.client.post(f"{URL}:preview", json={"rules": [rule | {"id": stored["id"]}]}).json
    assert (same["changed"], same["examples"]) == (0, [])


def test_a_preview_names_what_is_wrong_with_its_candidates(ruled: tuple[Shop, Oracle]) -> None:
    shop, _ = ruled
    add(shop, action="hide", filter={"gender": "Men"})
    hidden = next(
        it["sku"] for it in shop.client.get("/v1/products?gender=Men&in_stock=true").json["items"]
    )
    rules = [
        {"action": "boost", "filter": {"gender": "Men"}},
        {"action": "hide", "filter": {"brand": "Nobody's"}, "placement": "nowhere"},
        {"action": "pin", "skus": ["nobody", hidden], "ends_at": "2020-01-01T00:00:00Z"},
    ]
    shown = shop.client.post(f"{URL}:preview", json={"rules": rules, "sample": 1}).json
    assert [(it["rule"], it["code"], it["sku"]) for it in shown["problems"]] == [
        (1, "unknown-placement", None),
        (1, "no-match", None),
        (2, "unknown-product", "nobody"),
        (2, "hidden", hidden),
    ]


def test_a_preview_draws_from_what_the_condition_concerns(ruled: tuple[Shop, Oracle]) -> None:
    shop, oracle = ruled
    condition = {"master_category": "Footwear"}
    rule = {"action": "hide", "filter": {"gender": "Men"}, "condition": condition}
    shown = shop.client.post(f"{URL}:preview", json={"rules": [rule]}).json
    shoes = {sku for sku, row in oracle.rows.items() if row.master_category == "Footwear"}
    assert shown["eligible"] == len(shoes)
    assert {it["sku"] for it in shown["examples"]} <= shoes
    assert shop.client.get(URL).json["items"] == []  # nothing is stored


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""),
        ({"rules": [{"action": "hide", "skus": ["1"]}, {"action": "pin"}]}, "/rules/1"),
        ({"rules": [{"action": "hide", "filter": {"sole": "red"}}]}, "/rules/0/filter/sole"),
        ({"rules": [{"action": "hide", "skus": ["1"], "position": 0}]}, "/rules/0/position"),
        ({"rules": [1]}, "/rules"),
        ({"without": [1], "sample": 0}, "/sample"),
    ],
    ids=["nothing", "products", "field", "position", "no-object", "sample"],
)
def test_what_cannot_be_tried_is_refused(
    filled: tuple[Shop, Oracle], body: dict[str, Any], pointer: str
) -> None:
    answer = filled[0].client.post(f"{URL}:preview", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json["errors"][0]["pointer"] == pointer
