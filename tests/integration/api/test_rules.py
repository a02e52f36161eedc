"""Rules of merchandisers: pins, hides, boosts and buries, which act on every list at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select, update
from support.image_files import colour_image
from support.shop import PROBLEM, Shop
from typer.testing import Result

from backend.database.models import Placement, RuleChange, RuleRow
from backend.indexing import schema
from backend.search.query import Query
from backend.search.query_text import TextEncoder
from backend.search.similar import SimilarProducts

URL = "/v1/admin/rules"
SIMILAR = "/v1/products/0001/similar"


@pytest.fixture
def ruled(wardrobe: Shop) -> Iterator[Shop]:
    """The wardrobe, without rules and placements afterwards."""
    yield wardrobe
    for row in (RuleRow, Placement):
        wardrobe.execute(delete(row))
    wardrobe.client.delete(f"{URL}/{add(wardrobe, action='hide', skus=['x'])['id']}")


def add(shop: Shop, **settings: Any) -> Any:
    answer = shop.client.post(URL, json=settings)
    assert answer.status_code == 201, answer.text
    return answer.json


def problems(shop: Shop, rule: Any) -> list[tuple[str, str | None]]:
    found = shop.client.get(f"{URL}/{rule['id']}").json["problems"]
    return [(it["code"], it["sku"]) for it in found]


def test_rules_are_stored_listed_replaced_and_removed(ruled: Shop) -> None:
    client = ruled.client
    made = client.post(URL, json={"action": "pin", "skus": ["0004"], "position": 2, "name": None})
    assert made.status_code == 201
    url = made.headers["Location"]
    settings = {"action": "pin", "skus": ["0004"], "position": 2}
    assert (made.json["version"], made.json["settings"]) == (1, settings)
    assert client.get(url).json == made.json
    assert made.json in client.get(URL).json["items"]
    assert client.put(url, json=settings).json["version"] == 1  # nothing has changed
    changed = client.put(url, json={"action": "hide", "filter": {"gender": "Men"}}).json
    assert (changed["version"], changed["settings"]["filter"]) == (2, {"gender": "Men"})
    assert client.delete(url).status_code == 204
    changes = client.get(f"{url}/history").json["items"]
    assert [(it["version"], it["change"]) for it in changes] == [
        (3, "removed"),
        (2, "replaced"),
        (1, "created"),
    ]
    assert changes[2]["settings"] == settings
    for answer in (client.get(url), client.delete(url), client.put(url, json=settings)):
        assert (answer.status_code, answer.json["code"]) == (404, "unknown-rule")
    for id_ in ("0", "nothing", "9" * 30):
        assert client.get(f"{URL}/{id_}/history").json["code"] == "unknown-rule"


def test_a_list_of_rules_has_pages(ruled: Shop) -> None:
    ids = [add(ruled, action="hide", skus=[f"x{n}"])["id"] for n in range(3)]
    page = ruled.client.get(f"{URL}?limit=2").json
    last = ruled.client.get(f"{URL}?limit=2&cursor={page['next_cursor']}").json
    assert [it["id"] for it in page["items"] + last["items"]] == ids
    assert last["next_cursor"] is None


def test_a_rule_is_changed_only_as_it_was_read(ruled: Shop) -> None:
    client, other = ruled.client, {"action": "hide", "skus": ["0003"]}
    made = client.post(URL, json={"action": "hide", "skus": ["0002"]})
    url, tag = made.headers["Location"], made.headers["ETag"]
    assert client.get(url).headers["ETag"] == tag
    assert client.get(url, headers={"If-None-Match": tag}).status_code == 304
    assert client.put(url, json=other, headers={"If-Match": tag}).status_code == 200
    for method in ("PUT", "DELETE"):
        body = {"json": other} if method == "PUT" else {}
        answer = client.open(url, method=method, headers={"If-Match": tag}, **body)
        assert (answer.status_code, answer.json["code"]) == (412, "precondition-failed")
    assert client.delete(url, headers={"If-Match": "*"}).status_code == 204
    gone = client.delete(url, headers={"If-Match": tag})
    assert gone.status_code == 412


@pytest.mark.parametrize(
    ("settings", "pointer"),
    [
        ({"action": "raise", "skus": ["1"]}, "/action"),
        ({"action": "hide"}, ""),
        ({"action": "hide", "skus": ["1"], "filter": {"gender": "Men"}}, ""),
        ({"action": "hide", "skus": ["1"], "position": 1}, "/position"),
        ({"action": "pin", "skus": ["1"], "weight": 0.1}, "/weight"),
        ({"action": "pin", "skus": ["1"], "position": 0}, "/position"),
        ({"action": "boost", "skus": ["1"], "weight": 2.5}, "/weight"),
        ({"action": "hide", "filter": {"colour_of_sole": "red"}}, "/filter/colour_of_sole"),
        ({"action": "hide", "skus": ["1"], "condition": {"year": "x"}}, "/condition/year"),
        ({"action": "hide", "skus": ["1"], "starts_at": "2026-01-01T00:00:00"}, "/starts_at"),
        ({"action": "hide", "skus": ["1"], "placement": "a b"}, "/placement"),
        (
            {
                "action": "hide",
                "skus": ["1"],
                "starts_at": "2026-01-02T00:00:00Z",
                "ends_at": "2026-01-01T00:00:00Z",
            },
            "/ends_at",
        ),
    ],
    ids=lambda it: it.replace("/", "") or "whole" if isinstance(it, str) else "rule",
)
def test_settings_are_checked_when_they_are_put(
    ruled: Shop, settings: dict[str, Any], pointer: str
) -> None:
    answer = ruled.client.post(URL, json=settings)
    assert (answer.status_code, answer.content_type) == (422, PROBLEM), answer.text
    assert answer.json["errors"][0]["pointer"] == pointer


def test_all_that_is_wrong_with_a_rule_is_told_at_once(ruled: Shop) -> None:
    period = {"starts_at": "2026-01-02T00:00:00Z", "ends_at": "2026-01-02T00:00:00Z"}
    wrong = {"action": "hide", "skus": ["1"], "position": 2, "weight": 0.1, **period}
    faults = ruled.client.post(URL, json=wrong).json["errors"]
    assert [it["pointer"] for it in faults] == ["/position", "/weight", "/ends_at"]


def test_the_next_list_obeys_a_rule_and_stops_when_it_is_gone(ruled: Shop) -> None:
    before = ruled.skus(SIMILAR)
    rule = add(ruled, action="pin", skus=[before[-1]], position=1)
    assert ruled.skus(SIMILAR) == [before[-1], *before[:-1]]
    url = f"{URL}/{rule['id']}"
    ruled.client.put(url, json={"action": "hide", "skus": [before[0]]})
    assert ruled.skus(SIMILAR) == before[1:]
    off = {"action": "hide", "skus": [before[0]], "enabled": False}
    assert ruled.client.put(url, json=off).json["state"] == "disabled"
    assert ruled.skus(SIMILAR) == before
    ruled.client.delete(url)
    assert ruled.skus(SIMILAR) == before


def test_another_process_obeys_a_rule_at_once(ruled: Shop) -> None:
    own = ruled.services
    other = SimilarProducts(ruled.db, own.indexes.of, TextEncoder(ruled.db).encode, schema())

    def found() -> list[str]:
        return [it.product.sku for it in other.to_product("0001", Query()).items]

    before = found()
    rule = add(ruled, action="hide", filter={"gender": "Men"}, condition={"gender": "Women"})
    men = {it["sku"] for it in ruled.client.get("/v1/products?limit=100&gender=Men").json["items"]}
    assert found() == [it for it in before if it not in men] != before
    ruled.client.delete(f"{URL}/{rule['id']}")
    assert found() == before


def test_a_rule_holds_for_its_placement_its_period_and_its_condition(ruled: Shop) -> None:
    ruled.client.put("/v1/admin/placements/cart", json={})
    before = ruled.skus(SIMILAR)
    hide = {"action": "hide", "skus": [before[0]]}
    add(ruled, **hide, placement="cart")
    assert ruled.skus(SIMILAR) == before
    assert ruled.skus(SIMILAR, placement="cart") == before[1:]
    ruled.execute(delete(RuleRow))

    now, day = datetime.now(UTC), timedelta(days=1)
    periods = {
        "active": (now - day, now + day),
        "scheduled": (now + day, None),
        "expired": (None, now - day),
    }
    for state, (start, end) in periods.items():
        period = {"starts_at": start, "ends_at": end}
        given = {name: it.isoformat() for name, it in period.items() if it}
        made = add(ruled, **hide, **given)
        assert made["state"] == state
        assert ruled.skus(SIMILAR) == (before[1:] if state == "active" else before)
        ruled.client.delete(f"{URL}/{made['id']}")

    add(ruled, **hide, condition={"gender": "Nobody"})
    assert ruled.skus(SIMILAR) == before


def test_explain_says_which_rules_have_acted(ruled: Shop) -> None:
    first, second, third = ruled.skus(SIMILAR)[:3]
    hiding = add(ruled, action="hide", skus=[first])["id"]
    pinning = add(ruled, action="pin", skus=[third, "nobody"], position=1)["id"]
    boosting = add(ruled, action="boost", skus=[second], weight=0.3)["id"]
    answer = ruled.client.get(SIMILAR, query_string={"explain": "true"}).json
    shown = {it["sku"]: it for it in answer["items"]}
    assert shown[third]["explain"]["rules"] == [{"id": pinning, "action": "pin"}]
    assert shown[third]["pinned_by"] == pinning
    assert shown[second]["explain"]["rules"] == [{"id": boosting, "action": "boost"}]
    assert shown[second]["boost"] == pytest.approx(0.3)
    meta = answer["meta"]["rules"]
    assert meta["hidden"] == 1
    assert meta["acted"] == [
        {"id": hiding, "action": "hide", "products": 1},
        {"id": pinning, "action": "pin", "products": 1},
        {"id": boosting, "action": "boost", "products": 1},
    ]
    [missing] = meta["not_pinned"]
    assert (missing["id"], missing["sku"]) == (pinning, "nobody")
    assert "rules" not in ruled.client.get(SIMILAR).json["meta"]


def test_bad_rules_leave_the_list_good_and_are_named(ruled: Shop) -> None:
    client, before = ruled.client, ruled.skus(SIMILAR)
    past = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    sold_out, hidden = before[1], before[2]
    client.patch(f"/v1/products/{sold_out}", json={"in_stock": False})
    ruled.work()
    try:
        client.put("/v1/admin/placements/cart", json={"filter": {"brand": "none has it"}})
        hiding = add(ruled, action="hide", skus=[hidden])
        rules = {
            "sold-out": add(ruled, action="pin", skus=[sold_out], position=1),
            "hidden": add(ruled, action="pin", skus=[hidden], position=1),
            "unknown-product": add(ruled, action="pin", skus=["nobody"], position=5),
            "expired": add(ruled, action="pin", skus=["0001"], ends_at=past, position=6),
            "no-match": add(ruled, action="hide", filter={"brand": "none has it"}),
            "unknown-placement": add(ruled, action="hide", skus=["0001"], placement="gone"),
            "filtered-out": add(ruled, action="pin", skus=["0001"], placement="cart", position=9),
        }
        assert ruled.skus(SIMILAR) == [it for it in before if it != hidden]
        for code, rule in rules.items():
            assert code in dict(problems(ruled, rule)), code
        assert problems(ruled, hiding) == []
        listed = client.get(f"{URL}?limit=100").json["items"]
        by_id = {it["id"]: it for it in listed}
        assert by_id[rules["hidden"]["id"]]["problems"][0]["sku"] == hidden
        assert by_id[rules["expired"]["id"]]["state"] == "expired"
    finally:
        client.patch(f"/v1/products/{sold_out}", json={"in_stock": True})
        ruled.work()


def test_of_two_pins_at_one_position_the_first_has_it(ruled: Shop) -> None:
    before = ruled.skus(SIMILAR)
    later = add(ruled, action="pin", skus=[before[2]], position=1, priority=5)
    assert problems(ruled, later) == []
    first = add(ruled, action="pin", skus=[before[3]], position=1, priority=4)
    assert ruled.skus(SIMILAR)[:2] == [before[3], before[2]]
    assert problems(ruled, later) == [("position-taken", None)]
    assert problems(ruled, first) == []


def test_a_rule_that_cannot_be_read_does_nothing_and_is_named(ruled: Shop) -> None:
    before = ruled.skus(SIMILAR)
    rule = add(ruled, action="hide", skus=[before[0]])
    other = add(ruled, action="hide", skus=[before[1]])
    broken = {"action": "hide", "filter": {"colour_of_sole": ["red"]}}
    ruled.execute(update(RuleRow).where(RuleRow.id == rule["id"]).values(settings=broken))
    ruled.client.put(f"{URL}/{other['id']}", json={"action": "hide", "skus": [before[2]]})
    assert ruled.skus(SIMILAR) == [it for it in before if it != before[2]]
    shown = ruled.client.get(f"{URL}/{rule['id']}").json
    assert shown["state"] == "unreadable"
    assert "colour_of_sole" in shown["problems"][0]["detail"]


def test_the_history_names_the_key(ruled: Shop) -> None:
    rule = add(ruled, action="hide", skus=["x"])
    with ruled.db.read() as session:
        change = session.scalars(select(RuleChange).where(RuleChange.rule_id == rule["id"])).one()
    shown = ruled.client.get(f"{URL}/{rule['id']}/history").json["items"][0]
    assert shown["by"] == change.changed_by


def test_every_list_obeys_rules(ruled: Shop) -> None:
    client, before = ruled.client, ruled.skus(SIMILAR)
    first, last = before[0], before[-1]
    add(ruled, action="hide", skus=[first])
    add(ruled, action="pin", skus=[last])
    [batch] = client.post("/v1/similar:batch", json={"skus": ["0001"]}).json["items"]
    expected = [last, *[it for it in before if it not in (first, last)]]
    assert [it["sku"] for it in batch["items"]] == expected
    posted = client.post("/v1/similar", json={"sku": "0001"}).json["items"]
    assert [it["sku"] for it in posted] == expected
    image = {"data": colour_image("#d02020"), "content_type": "image/png"}
    found = [it["sku"] for it in client.post("/v1/similar", **image).json["items"]]
    assert (found[0], first in found) == (last, False)


def test_lists_for_shoppers_obey_rules(ruled: Shop) -> None:
    client = ruled.client
    paths = {
        "/v1/new-products": {},
        "/v1/users/nobody/recommendations": {},
        "/v1/products/0001/together": {},
    }
    for path, query in paths.items():
        before = ruled.skus(path, **query)
        assert len(before) > 2, path
        hiding = add(ruled, action="hide", skus=[before[0]])["id"]
        pinning = add(ruled, action="pin", skus=[before[-1], "nobody"], position=2)["id"]
        answer = client.get(path, query_string={**query, "explain": "true"}).json
        found = [it["sku"] for it in answer["items"]]
        expected = [it for it in before if it not in (before[0], before[-1])]
        assert found == [expected[0], before[-1], *expected[1:]], path
        assert answer["items"][1]["pinned_by"] == pinning
        assert answer["items"][1]["explain"]["rules"] == [{"id": pinning, "action": "pin"}]
        assert answer["meta"]["rules"]["hidden"] == 1
        assert answer["meta"]["rules"]["not_pinned"][0]["sku"] == "nobody"
        for id_ in (hiding, pinning):
            client.delete(f"{URL}/{id_}")
        last = add(ruled, action="boost", skus=[before[-1]], weight=2)["id"]
        assert ruled.skus(path, **query)[0] == before[-1]
        client.put(f"{URL}/{last}", json={"action": "bury", "skus": [before[0]], "weight": 2})
        assert ruled.skus(path, **query)[-1] == before[0]
        client.delete(f"{URL}/{last}")


def test_recommendations_by_examples_obey_conditions_and_filters_of_pins(ruled: Shop) -> None:
    client, body = ruled.client, {"positive": ["0001"], "explain": True}

    def skus() -> list[str]:
        answer = client.post("/v1/recommendations", json=body)
        assert answer.status_code == 200, answer.text
        return [it["sku"] for it in answer.json["items"]]

    before = skus()
    gender = client.get("/v1/products/0001").json["gender"]
    add(ruled, action="hide", skus=[before[0]], condition={"gender": "Nobody"})
    assert skus() == before
    add(ruled, action="hide", skus=[before[0]], condition={"gender": gender})
    assert skus() == before[1:]
    last = client.get(f"/v1/products/{before[-1]}").json
    add(ruled, action="pin", filter={"base_colour": last["base_colour"], "gender": last["gender"]})
    add(ruled, action="pin", skus=["0001"], position=2)  # an example is never in its list
    pinned, *others = skus()
    found = client.get(f"/v1/products/{pinned}").json
    assert [found[it] for it in ("base_colour", "gender")] == [
        last[it] for it in ("base_colour", "gender")
    ]
    assert sorted([pinned, *others]) == sorted(before[1:])


def test_commands_store_list_and_try_rules(run_command: Callable[..., Result]) -> None:
    run = run_command
    run("migrate")
    hide = json.dumps({"action": "hide", "skus": ["nobody"], "condition": {"gender": "Men"}})
    made = json.loads(run("rules", "add", hide, "--json").stdout)
    id_ = str(made["id"])
    [item] = json.loads(run("rules", "list", "--json").stdout)["items"]
    assert (item["version"], item["settings"]) == (1, json.loads(hide))
    codes = {it["code"] for it in item["problems"]}
    assert codes == {"unknown-product", "no-match"}
    assert "hide" in run("rules", "list").stdout
    pin = json.dumps({"action": "pin", "skus": ["nobody"], "position": 3})
    assert f"Rule {id_} has version 2" in run("rules", "replace", id_, pin).stdout
    assert json.loads(run("rules", "show", id_).stdout)["settings"]["position"] == 3
    for wrong in ("{", "[]", '{"action": "pin"}', '{"action": "hide", "filter": {"sole": "x"}}'):
        run("rules", "add", wrong, code=1)
    unknown = run("rules", "add", '{"action": "pin", "sku": "1"}', code=1)
    assert "sku: there is no such member; the nearest is skus; allowed: " in str(unknown.exception)
    no_json = run("rules", "add", "pin 1", code=1)
    assert 'write it as \'{"action": "hide"' in str(no_json.exception)
    assert f"Removed rule {id_}" in run("rules", "remove", id_).stdout
    run("rules", "remove", id_, code=1)
    changes = json.loads(run("rules", "history", id_, "--json").stdout)["items"]
    assert [it["change"] for it in changes] == ["removed", "replaced", "created"]
    assert {it["by"] for it in changes} == {"command"}
    assert "There are no rules" in run("rules", "list").stdout
    tried = json.loads(run("rules", "preview", pin, "--sample", "5", "--json").stdout)
    assert (tried["sampled"], tried["changed"]) == (0, 0)
    said = run("rules", "preview", f"[{pin}]").stdout
    assert "0 of 0 lists change" in said
    assert "Problem: nobody: no product has this sku" in said
