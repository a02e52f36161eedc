"""Experiments: shoppers are split once and for all, arms are counted, a worse one is stopped."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session
from support.image_files import colour_image
from support.shop import PROBLEM, Shop
from typer.testing import Result

from backend import generations as generation_rows
from backend.bootstrap import build
from backend.database.models import FilterShape, Generation, IndexEntry, ListedArm, Placement
from backend.events import arms, outcomes
from backend.merchandising.experiments import Arm, arm_of
from backend.settings import Settings

USERS = [f"u-{number}" for number in range(110)]


@pytest.fixture
def split(shop: Shop) -> Shop:
    """A shop with six products, and an experiment that tries a placement of other limits."""
    for number in range(6):
        shop.put(f"p-{number}", f"#{40 * number:02x}0000")
    shop.work()
    for name, limit in (("home", 4), ("home-b", 5)):
        path = f"/v1/admin/placements/{name}"
        assert shop.client.put(path, json={"limit": limit}).status_code in {200, 201}
    body = {"placement": "home", "against": "home-b"}
    answer = shop.client.put("/v1/admin/experiments/more", json=body)
    assert answer.status_code == 201, answer.text
    return shop


def listed(shop: Shop, user: str) -> Any:
    answer = shop.client.get(f"/v1/users/{user}/recommendations?placement=home")
    assert answer.status_code == 200, answer.text
    return answer.json


def act(shop: Shop, kind: str, answer: Any, user: str, many: int) -> list[dict[str, Any]]:
    return [
        {
            "kind": kind,
            "sku": item["sku"],
            "user": user,
            "recommendation_id": answer["recommendation_id"],
        }
        for item in answer["items"][:many]
    ]


def shown(shop: Shop) -> Any:
    return shop.client.get("/v1/admin/experiments/more").json


def test_shoppers_keep_their_arm_and_answers_name_it(split: Shop) -> None:
    found = {}
    for user in USERS[:12]:
        answer = listed(split, user)
        found[user] = answer["meta"]["experiment"]["arm"]
        assert answer["meta"]["experiment"]["name"] == "more"
        assert answer["meta"]["placement"]["name"] == (
            "home-b" if found[user] == "treatment" else "home"
        )
        assert len(answer["items"]) == (5 if found[user] == "treatment" else 4)
        body = {"user": user, "placement": "home"}
        again = split.client.post("/v1/recommendations", json=body).json
        assert again["meta"]["experiment"]["arm"] == found[user]
    assert set(found.values()) == {"control", "treatment"}
    kept = split.client.get(f"/v1/recommendations/{again['recommendation_id']}").json
    assert (kept["placement"], kept["experiment"], kept["arm"]) == ("home", "more", found[user])
    other = split.client.get("/v1/users/u-1/recommendations").json
    assert "experiment" not in other["meta"]


def in_arm(arm: Arm, name: str = "more") -> str:
    return next(it for it in USERS if arm_of(name, it, share=0.5) is arm)


IMAGE = colour_image("#500000")
SIMILAR: dict[str, Callable[[Shop, str], Any]] = {
    "get": lambda shop, who: shop.client.get(f"/v1/products/p-0/similar?placement=home&{who}"),
    "body": lambda shop, who: shop.client.post(
        "/v1/similar",
        json={"sku": "p-0", "placement": "home", **dict([who.split("=")])},
    ),
    "body and query string": lambda shop, who: shop.client.post(
        f"/v1/similar?{who}", json={"sku": "p-0", "placement": "home"}
    ),
    "image": lambda shop, who: shop.client.post(
        f"/v1/similar?placement=home&{who}", data=IMAGE, content_type="image/png"
    ),
    "form": lambda shop, who: shop.client.post(
        "/v1/similar",
        data={
            "placement": "home",
            **dict([who.split("=")]),
            "image": (io.BytesIO(IMAGE), "a.png"),
        },
    ),
}


@pytest.mark.parametrize("name", ["user", "session"])
def test_similar_items_are_split_where_a_shopper_is_named(split: Shop, name: str) -> None:
    for ask, (arm, limit) in product(SIMILAR.values(), [(Arm.CONTROL, 4), (Arm.TREATMENT, 5)]):
        answer = ask(split, f"{name}={in_arm(arm)}")
        assert answer.status_code == 200, answer.text
        meta = answer.json["meta"]
        assert meta["experiment"] == {"name": "more", "arm": arm.value}
        assert meta["placement"]["name"] == ("home" if arm is Arm.CONTROL else "home-b")
        assert len(answer.json["items"]) == limit
    plain = split.client.get("/v1/products/p-0/similar?placement=home").json
    assert "experiment" not in plain["meta"]
    assert len(plain["items"]) == 4
    other = split.client.get(f"/v1/products/p-0/similar?{name}={in_arm(Arm.TREATMENT)}").json
    assert "experiment" not in other["meta"]  # this experiment splits what names `home`


RELATED = {
    "together": "/v1/products/p-0/together",
    "complementary": "/v1/products/p-0/together?complementary=true",
    "new": "/v1/new-products",
}


@pytest.mark.parametrize("path", RELATED.values(), ids=RELATED.keys())
def test_lists_about_no_shopper_are_split_where_one_is_named(split: Shop, path: str) -> None:
    for number in range(6):
        split.put(f"p-{number}", f"#{40 * number:02x}0000", article_type=f"type {number}")
    split.work()
    asked = f"{path}{'&' if '?' in path else '?'}placement=home"
    for arm, limit in ((Arm.CONTROL, 4), (Arm.TREATMENT, 5)):
        answer = split.client.get(f"{asked}&user={in_arm(arm)}").json
        assert answer["meta"]["experiment"] == {"name": "more", "arm": arm.value}
        assert len(answer["items"]) == limit
        id_ = answer["recommendation_id"]
        kept = split.client.get(f"/v1/recommendations/{id_}").json
        assert (kept["user"], kept["experiment"], kept["arm"]) == (in_arm(arm), "more", arm.value)
    plain = split.client.get(asked).json
    assert ("experiment" in plain["meta"], len(plain["items"])) == (False, 4)
    bad = split.client.get(f"{asked}&session={'x' * 129}")
    assert (bad.status_code, bad.json["errors"][0]["parameter"]) == (422, "session")


def test_a_batch_is_split_and_each_of_its_answers_is_kept(split: Shop) -> None:
    for arm, limit in ((Arm.CONTROL, 4), (Arm.TREATMENT, 5)):
        body = {"skus": ["p-0", "nobody", "p-1"], "placement": "home", "user": in_arm(arm)}
        answer = split.client.post("/v1/similar:batch", json=body).json
        assert answer["meta"]["experiment"] == {"name": "more", "arm": arm.value}
        one, unknown, other = answer["items"]
        assert [len(it["items"]) for it in (one, other)] == [limit, limit]
        assert unknown["status"] == 404
        for item in (one, other):
            path = f"/v1/recommendations/{item['recommendation_id']}"
            kept = split.client.get(path).json
            assert (kept["list"], kept["arm"], kept["user"]) == ("similar", arm.value, body["user"])
            assert kept["question"]["body"] == {**body, "skus": [item["sku"]]}
            assert [it["sku"] for it in kept["items"]] == [it["sku"] for it in item["items"]]
    body = {"skus": ["p-0"], "placement": "home"}
    assert "experiment" not in split.client.post("/v1/similar:batch", json=body).json["meta"]


def test_a_further_page_of_similar_items_stays_in_its_arm(split: Shop) -> None:
    for arm in Arm:
        path = f"/v1/products/p-0/similar?placement=home&limit=2&user={in_arm(arm)}"
        first = split.client.get(path).json
        later = split.client.get(f"{path}&cursor={first['next_cursor']}")
        assert later.status_code == 200, later.text
        assert later.json["meta"]["experiment"]["arm"] == arm.value
        shown = {item["sku"] for it in (first, later.json) for item in it["items"]}
        assert len(shown) == 4


def test_arms_of_similar_items_are_counted_and_reported(split: Shop) -> None:
    for arm, clicks in ((Arm.CONTROL, 1), (Arm.TREATMENT, 3)):
        user = in_arm(arm)
        answer = split.client.get(f"/v1/products/p-0/similar?placement=home&user={user}").json
        split.services.answer_log.flush()
        items = act(split, "impression", answer, user, 4)
        items += act(split, "click", answer, user, clicks)
        stored = split.client.post("/v1/events:batch", json={"items": items})
        assert stored.json["stored"] == 4 + clicks
        replayed = split.client.get(f"/v1/recommendations/{answer['recommendation_id']}").json
        assert (replayed["list"], replayed["arm"], replayed["user"]) == ("similar", arm.value, user)
        assert [it["sku"] for it in replayed["items"]] == [it["sku"] for it in answer["items"]]
    split.work()
    arms_shown = {it["arm"]: (it["impressions"], it["clicks"]) for it in shown(split)["arms"]}
    assert arms_shown == {"control": (4, 1), "treatment": (4, 3)}
    with split.services.db.read() as session:
        rows = outcomes.report(session, since=0, by=["list_name", "arm"])
    assert {(*row.group.values(), row.listed) for row in rows} == {
        ("similar", "control", 4),
        ("similar", "treatment", 5),
    }
    kept = answer["recommendation_id"]
    assert split.client.delete(f"/v1/users/{user}").status_code == 200
    assert split.client.get(f"/v1/recommendations/{kept}").status_code == 404  # it named them


def test_the_split_is_even_and_independent_of_other_experiments() -> None:
    users = [f"user {number}" for number in range(4000)]
    one = {it for it in users if arm_of("one", it, share=0.5) is Arm.TREATMENT}
    other = {it for it in users if arm_of("other", it, share=0.25) is Arm.TREATMENT}
    assert len(one) / len(users) == pytest.approx(0.5, abs=0.03)
    assert len(other) / len(users) == pytest.approx(0.25, abs=0.03)
    assert len(one & other) / len(other) == pytest.approx(0.5, abs=0.06)
    more = {it for it in users if arm_of("one", it, share=0.75) is Arm.TREATMENT}
    assert one <= more  # who gets what is tried keeps it when the share grows


def test_a_worse_arm_is_stopped_and_the_report_shows_both(split: Shop) -> None:
    events = []
    for user in USERS:
        answer = listed(split, user)
        events += act(split, "impression", answer, user, 5)
        is_tried = answer["meta"]["experiment"]["arm"] == "treatment"
        events += act(split, "click", answer, user, 0 if is_tried else 1)
    split.services.answer_log.flush()
    for start in range(0, len(events), 400):
        part = {"items": events[start : start + 400]}
        assert split.client.post("/v1/events:batch", json=part).status_code == 200
    assert arms.guard(split.services.db) == []  # nothing is counted yet
    split.work()
    control, treatment = shown(split)["arms"]
    assert min(control["impressions"], treatment["impressions"]) >= arms.LEAST_IMPRESSIONS
    assert control["impressions"] + treatment["impressions"] == sum(
        it["kind"] == "impression" for it in events
    )
    assert control["click_through"][0] == pytest.approx(0.25)
    assert treatment["click_through"][0] == 0
    with split.services.db.read() as session:
        rows = outcomes.report(session, since=0, by=["placement", "experiment", "arm"])
    assert {tuple(row.group.values()): row.clicks for row in rows} == {
        ("home", "more", "control"): control["clicks"],
        ("home", "more", "treatment"): 0,
    }

    assert arms.guard(split.services.db) == ["more"]
    stopped = shown(split)
    assert stopped["state"] == "stopped"
    assert "click-through fell by 25.0%" in stopped["reason"]
    assert arms.guard(split.services.db) == []
    answer = listed(split, next(it for it in USERS if arm_of("more", it, share=0.5) == "treatment"))
    assert "experiment" not in answer["meta"]
    assert len(answer["items"]) == 4


def test_an_arm_that_is_as_good_goes_on(split: Shop) -> None:
    rows = [
        ListedArm(
            day=20000,
            list_name="user",
            placement="home",
            experiment="more",
            arm=arm,
            listed=0,
            carts=0,
            purchases=0,
            impressions=1000,
            clicks=clicks,
        )
        for arm, clicks in (("control", 100), ("treatment", 75))
    ]
    split.services.db.write(lambda session: session.add_all(rows))
    assert arms.guard(split.services.db) == []  # two standard errors may be chance


@pytest.fixture
def generations(split: Shop) -> Iterator[tuple[Generation, Generation]]:
    """The active generation, and one that is kept up to date beside it."""
    db = split.services.db
    with db.read() as session:
        before = generation_rows.active(session)
    later = Generation(
        id=before.id + 1,
        collection="later",
        embedder=before.embedder,
        fingerprint=before.fingerprint,
        size=before.size,
        state="standby",
    )
    db.write(lambda session: session.add(later))
    yield before, later
    split.services.recall.save()  # what it has counted in memory names the generation
    split.execute(delete(FilterShape))
    split.execute(delete(Generation).where(Generation.id == later.id))


def test_a_generation_is_tried_and_stopped_when_its_recall_falls(
    split: Shop, generations: tuple[Generation, Generation]
) -> None:
    db, (before, later) = split.services.db, generations
    assert split.client.delete("/v1/admin/experiments/more").status_code == 204
    body = {"generation": later.id}
    assert split.client.put("/v1/admin/experiments/newer", json=body).status_code == 201
    tried = next(it for it in USERS if arm_of("newer", it, share=0.5) is Arm.TREATMENT)
    plain = next(it for it in USERS if arm_of("newer", it, share=0.5) is Arm.CONTROL)
    paths = [f"/v1/users/{user}/recommendations" for user in (tried, plain)]
    found = [split.client.get(path).json["generation"] for path in paths]
    assert found == [later.id, before.id]

    def compared(generation_id: int, recall: float) -> None:
        values = {"queries": 100, "compared": 100, "recall_sum": 100 * recall}
        keys = {"generation_id": generation_id, "shape": "", "mode": "plain"}
        db.write(lambda session: session.execute(insert(FilterShape), [{**keys, **values}]))

    compared(before.id, 0.99)
    assert arms.guard(db) == []
    compared(later.id, 0.9)
    assert arms.guard(db) == ["newer"]
    assert split.client.get(paths[0]).json["generation"] == before.id


def test_similar_items_of_a_product_are_those_of_the_generation_that_is_tried(
    split: Shop, generations: tuple[Generation, Generation]
) -> None:
    db, (before, later) = split.services.db, generations
    body = {"generation": later.id}
    assert split.client.put("/v1/admin/experiments/newer", json=body).status_code == 201
    tried, plain = (in_arm(arm, "newer") for arm in (Arm.TREATMENT, Arm.CONTROL))
    split.work()

    def ask(user: str, more: str = "") -> Any:
        return split.client.get(f"/v1/products/p-0/similar?user={user}{more}").json

    def copy(session: Session) -> None:
        """Have the other generation know what this one knows."""
        rows = session.scalars(select(IndexEntry).where(IndexEntry.generation_id == before.id))
        for row in list(rows):
            values = {it.name: getattr(row, it.name) for it in IndexEntry.__table__.columns}
            session.execute(insert(IndexEntry), [{**values, "generation_id": later.id}])

    assert ask(tried)["code"] == "not-searchable"  # of the generation that is tried
    db.write(copy)
    found = ask(tried)
    assert (found["generation"], found["meta"]["experiment"]["arm"]) == (later.id, "treatment")
    assert found["items"] == []  # its index is empty
    assert found["recommendation_id"].startswith(f"similar-{later.id}-")
    assert (ask(plain)["generation"], len(ask(plain)["items"])) == (before.id, 5)
    assert ask(plain)["meta"]["experiment"]["arm"] == "control"

    def batch(**more: Any) -> Any:
        body = {"skus": ["p-0"], "user": tried, **more}
        return split.client.post("/v1/similar:batch", json=body).json

    several = batch()
    assert (several["generation"], several["meta"]["experiment"]["arm"]) == (later.id, "treatment")
    assert batch(generation=later.id)["meta"]["experiment"]["arm"] == "treatment"
    named = batch(generation=before.id)  # the client's own choice counts, and is in no arm
    assert (named["generation"], "experiment" in named["meta"]) == (before.id, False)
    together = split.client.get(f"/v1/products/p-0/together?user={tried}").json
    assert (together["generation"], together["items"]) == (later.id, [])
    newest = split.client.get(f"/v1/new-products?user={tried}").json  # the same in each
    assert (newest["generation"], "experiment" in newest["meta"]) == (before.id, False)

    one = ask(tried, "&image=1")  # by one image: of the active generation, and in no arm
    assert (one["generation"], "experiment" in one["meta"]) == (before.id, False)
    split.execute(update(Generation).where(Generation.id == later.id).values(state="retired"))
    gone = ask(tried)
    assert (gone["generation"], "experiment" in gone["meta"]) == (before.id, False)


@pytest.mark.parametrize("name", ["user", "session"])
def test_a_name_of_a_shopper_that_events_cannot_have_is_refused(shop: Shop, name: str) -> None:
    for text in ("", "x" * 129):
        answer = shop.client.get(f"/v1/products/p-0/similar?{name}={text}")
        assert (answer.status_code, answer.mimetype) == (422, PROBLEM)
        assert answer.json["errors"][0]["parameter"] == name


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"placement": "home"},
        {"against": "home-b"},
        {"placement": "home", "against": "home"},
        {"placement": "home", "against": "home-b", "generation": 1},
        {"placement": "home", "against": "none"},
        {"placement": "home", "against": "home-b"},  # "more" splits these requests
        {"generation": 999},
        {"placement": "home", "against": "home-b", "share": 1},
    ],
    ids=str,
)
def test_what_cannot_be_tried_is_refused(split: Shop, body: dict[str, Any]) -> None:
    answer = split.client.put("/v1/admin/experiments/second", json=body)
    assert (answer.status_code, answer.mimetype) == (422, PROBLEM)
    assert split.client.get("/v1/admin/experiments/second").status_code == 404


def test_an_experiment_keeps_what_it_tries(split: Shop) -> None:
    path = "/v1/admin/experiments/more"
    body = {"placement": "home", "against": "home-b", "share": 0.1, "state": "stopped"}
    changed = split.client.put(path, json=body)
    assert (changed.status_code, changed.json["share"], changed.json["state"]) == (
        200,
        0.1,
        "stopped",
    )
    assert changed.json["reason"] == "stopped by an operator"
    other = split.client.put(path, json={"placement": "home-b", "against": "home"})
    assert (other.status_code, other.json["code"]) == (422, "invalid-experiment")


def test_the_command_starts_shows_and_stops(
    settings: Settings, run_command: Callable[..., Result]
) -> None:
    services = build(settings)
    rows = [Placement(name=name, settings={}, version=1) for name in ("home", "home-b")]
    services.db.write(lambda session: session.add_all(rows))
    services.close()
    tries = ("--placement", "home", "--against", "home-b")
    assert "more is running" in run_command("experiments", "put", "more", *tries).stdout
    (item,) = json.loads(run_command("experiments", "list", "--json").stdout)["items"]
    assert (item["share"], [it["arm"] for it in item["arms"]]) == (0.5, ["control", "treatment"])
    assert "more is stopped" in run_command("experiments", "stop", "more").stdout
    assert "stopped" in run_command("experiments", "list").stdout
    by = ("--by", "experiment", "--by", "arm", "--json")
    assert json.loads(run_command("report", "recommendations", *by).stdout)["items"] == []
    run_command("experiments", "remove", "more")
    assert "no experiments" in run_command("experiments", "list").stdout
