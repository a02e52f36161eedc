"""Events of shoppers over REST: stored once, refused one by one, shown and deleted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from support.shop import PROBLEM, Shop

from backend.events import counting

NOW = datetime.now(UTC)


def post(shop: Shop, *items: Any) -> Any:
    response = shop.client.post("/v1/events:batch", json={"items": list(items)})
    assert response.status_code == 200, response.text
    return response.json


def test_what_is_sent_again_changes_nothing(wardrobe: Shop) -> None:
    events = [
        {"id": "e-1", "kind": "view", "sku": "0001", "user": "ann"},
        {"id": "e-2", "kind": "purchase", "sku": "0002", "user": "ann", "basket": "o-1"},
    ]
    assert post(wardrobe, *events) == {
        "stored": 2,
        "duplicates": 0,
        "unknown": 0,
        "rejected": [],
    }
    assert post(wardrobe, *events)["duplicates"] == 2


def test_bad_events_are_refused_one_by_one(wardrobe: Shop) -> None:
    ahead = (NOW + timedelta(days=2)).isoformat()
    old = (NOW - timedelta(days=400)).isoformat()
    answer = post(
        wardrobe,
        {"id": "good", "kind": "view", "sku": "0001"},
        {"id": "kind", "kind": "stare", "sku": "0001"},
        {"id": "sku", "kind": "view"},
        {"id": "ahead", "kind": "view", "sku": "0001", "at": ahead},
        {"id": "old", "kind": "view", "sku": "0001", "at": old},
        {"id": "naive", "kind": "view", "sku": "0001", "at": "2026-11-29T10:00:00"},
        {"id": "member", "kind": "view", "sku": "0001", "colour": "red"},
        "no object",
    )
    assert answer["stored"] == 1
    refused = {it["id"]: it["problem"] for it in answer["rejected"]}
    assert [it["index"] for it in answer["rejected"]] == list(range(1, 8))
    assert {it["code"] for it in refused.values()} == {"invalid-event"}
    assert "more than a day in the future" in refused["ahead"]["detail"]
    assert "365 days" in refused["old"]["detail"]
    assert "time zone" in refused["naive"]["detail"]
    assert "kind" in refused["kind"]["detail"]


def test_a_body_without_items_is_refused_whole(wardrobe: Shop) -> None:
    for body in ({}, {"items": []}, {"items": [{}] * 1001}):
        response = wardrobe.client.post("/v1/events:batch", json=body)
        assert (response.status_code, response.mimetype) == (422, PROBLEM)


def test_one_event_needs_no_list(wardrobe: Shop) -> None:
    event = {"id": "single", "kind": "view", "sku": "0001", "user": "ann"}
    first = wardrobe.client.post("/v1/events", json=event)
    assert (first.status_code, first.json) == (200, {"stored": 1, "duplicates": 0, "unknown": 0})
    assert wardrobe.client.post("/v1/events", json=event).json["duplicates"] == 1
    assert post(wardrobe, event)["duplicates"] == 1
    late = {"kind": "cart", "sku": "later", "session": "s"}
    assert wardrobe.client.post("/v1/events", json=late).json["unknown"] == 1
    assert wardrobe.client.get("/v1/users/ann/events").json["items"][0]["id"] == "single"


@pytest.mark.parametrize(
    ("member", "value", "code"),
    [
        ("kind", "stare", "invalid-request"),
        ("sku", None, "invalid-request"),
        ("at", "2026-11-29T10:00:00", "invalid-event"),
        ("at", "0001-01-01T00:00:00+23:00", "invalid-event"),
        ("at", "9990-01-01T00:00:00+00:00", "invalid-event"),
        ("colour", "red", "invalid-request"),
    ],
)
def test_one_event_that_is_wrong_is_422(
    wardrobe: Shop, member: str, value: str | None, code: str
) -> None:
    event = {"kind": "view", "sku": "0001", "user": "ann", member: value}
    refused = wardrobe.client.post("/v1/events", json=event)
    assert (refused.status_code, refused.mimetype, refused.json["code"]) == (422, PROBLEM, code)
    assert member in refused.json["detail"]
    assert [it["pointer"] for it in refused.json["errors"]] == [f"/{member}"]


def test_a_product_that_comes_later_is_joined(wardrobe: Shop) -> None:
    event = {"id": "late", "kind": "view", "sku": "later", "user": "ann"}
    assert post(wardrobe, event)["unknown"] == 1
    wardrobe.put("later", "#102030")
    assert counting.join_known(wardrobe.db) == 1
    wardrobe.work()
    assert wardrobe.skus("/v1/trending") == ["later"]


def test_a_shopper_sees_what_is_stored_and_has_it_deleted(wardrobe: Shop) -> None:
    post(
        wardrobe,
        {"id": "1", "kind": "view", "sku": "0001", "user": "ann", "session": "visit"},
        {"id": "2", "kind": "cart", "sku": "0002", "session": "visit"},
        {"id": "3", "kind": "view", "sku": "0003", "user": "bob"},
    )
    page = wardrobe.client.get("/v1/users/ann/events?limit=1").json
    assert [it["id"] for it in page["items"]] == ["1"]
    rest = wardrobe.client.get(f"/v1/users/ann/events?cursor={page['next_cursor']}").json
    assert [it["id"] for it in rest["items"]] == ["2"]
    assert rest["items"][0]["user"] is None
    assert rest["next_cursor"] is None

    assert wardrobe.client.delete("/v1/users/ann").json == {"events": 2}
    assert wardrobe.client.get("/v1/users/ann/events").json["items"] == []
    assert len(wardrobe.client.get("/v1/users/bob/events").json["items"]) == 1


@pytest.mark.parametrize("shopper", ["a/b", "a%41", "aA", "jose\u0301", "mail@shop/events", "/"])
def test_a_shopper_of_any_characters_is_one_segment_of_the_path(
    wardrobe: Shop, shopper: str
) -> None:
    others = [name for name in ("aA", "jos\u00e9", "a") if name != shopper]
    views = [
        {"id": f"e-{number}", "kind": "view", "sku": "0001", "user": user}
        for number, user in enumerate([shopper, *others])
    ]
    assert post(wardrobe, *views)["stored"] == len(views)
    path = f"/v1/users/{quote(shopper, safe='')}"
    assert [item["user"] for item in wardrobe.client.get(f"{path}/events").json["items"]] == [
        shopper
    ]
    assert wardrobe.client.get(f"{path}/answers").status_code == 200
    assert wardrobe.client.get(f"{path}/recommendations").status_code == 200
    assert wardrobe.client.delete(path).json == {"events": 1}
    for other in others:
        kept = wardrobe.client.get(f"/v1/users/{quote(other)}/events").json["items"]
        assert len(kept) == 1, "what another shopper did stays"


def test_a_longer_id_never_stands_for_the_shopper_it_begins_with(wardrobe: Shop) -> None:
    longest = "a" * 128
    post(wardrobe, {"id": "1", "kind": "view", "sku": "0001", "user": longest})
    client, path = wardrobe.client, f"/v1/users/{longest}b"
    refused = [client.delete(path), client.get(f"{path}/events")]
    refused.append(client.get(f"{path}/recommendations"))
    for response in refused:
        assert (response.status_code, response.mimetype) == (422, PROBLEM)
        assert response.json["errors"][0]["parameter"] == "user"
    assert client.delete(f"/v1/users/{longest}").json == {"events": 1}
