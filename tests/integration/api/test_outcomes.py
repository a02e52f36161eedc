"""What became of what was listed: kept for a day, counted once, reported by list and reason."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update
from support.shop import PROBLEM, Shop
from typer.testing import Result

from backend.bootstrap import build
from backend.database.models import ListedAnswer, ListedDay, utcnow
from backend.events import answers
from backend.events.answers import AnswerLog, GivenAnswer, ListedItem, ListName
from backend.events.decay import day_of
from backend.monitoring.catalogue import read_recommendations
from backend.settings import Settings

SKUS = {"red-1": "#ff0000", "red-2": "#f00808", "red-3": "#e81010", "blue-1": "#0000ff"}


@pytest.fixture
def colours(shop: Shop) -> Shop:
    for sku, colour in SKUS.items():
        shop.put(sku, colour)
    shop.work()
    return shop


def act(shop: Shop, *events: tuple[str, str], **about: Any) -> None:
    items = [{"kind": kind, "sku": sku, **about} for kind, sku in events]
    assert shop.client.post("/v1/events:batch", json={"items": items}).json["stored"] == len(events)
    shop.work()


def listed(shop: Shop, user: str = "ann") -> Any:
    answer = shop.client.get(f"/v1/users/{user}/recommendations?limit=2").json
    shop.services.answer_log.flush()
    return answer


def days(shop: Shop) -> dict[tuple[str, str, bool], tuple[int, ...]]:
    """Return {(list, reason, cold): (listed, impressions, clicks, carts, purchases)}."""
    with shop.services.db.read() as session:
        return {
            (it.list_name, it.reason, it.cold): (
                it.listed,
                it.impressions,
                it.clicks,
                it.carts,
                it.purchases,
            )
            for it in session.scalars(select(ListedDay))
        }


def test_acts_are_counted_once_by_list_and_reason(colours: Shop) -> None:
    act(colours, ("view", "red-1"), ("view", "red-2"), user="bob")
    act(colours, ("view", "red-1"), user="ann")
    answer = listed(colours)
    (first, second) = answer["items"]
    assert [first["sku"], second["sku"]] == ["red-2", "red-3"]
    named = {"user": "ann", "recommendation_id": answer["recommendation_id"]}
    act(colours, ("impression", "red-2"), ("impression", "red-3"), **named)
    for time in range(2):  # the second click on a product of one answer does not count
        act(colours, ("click", "red-2"), ("view", "red-2"), **named, session=f"s-{time}")
    act(colours, ("click", "red-2"), ("cart", "red-3"), ("purchase", "red-3"), **named)
    assert days(colours) == {
        ("user", first["reason"], False): (1, 1, 1, 0, 0),
        ("user", "look", True): (1, 1, 0, 1, 1),
    }


def test_an_answer_is_shown_again_as_it_was_given(colours: Shop) -> None:
    act(colours, ("view", "red-1"), user="ann")
    answer = colours.client.get("/v1/users/ann/recommendations?limit=2").json
    colours.put("red-2", "#00ff00")
    colours.client.delete("/v1/products/red-3")
    again = colours.client.get(f"/v1/recommendations/{answer['request_id']}").json
    wanted = ("sku", "score", "reason", "because")
    assert [{name: item[name] for name in wanted} for item in again["items"]] == [
        {name: item[name] for name in wanted} for item in answer["items"]
    ]
    assert (again["user"], again["list"]) == ("ann", "user")
    assert again["question"]["query"] == "limit=2"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/products/red-1/together", "together"),
        ("/v1/trending", "trending"),
        ("/v1/new-products", "new"),
    ],
)
def test_an_answer_of_every_list_can_be_read_again(colours: Shop, path: str, name: str) -> None:
    answer = colours.client.get(path).json
    again = colours.client.get(f"/v1/recommendations/{answer['recommendation_id']}").json
    assert again["list"] == name
    assert [it["sku"] for it in again["items"]] == [it["sku"] for it in answer["items"]]


def test_an_unknown_answer_is_not_found(colours: Shop) -> None:
    response = colours.client.get("/v1/recommendations/none")
    assert (response.status_code, response.mimetype) == (404, PROBLEM)
    assert response.json["code"] == "unknown-recommendation"


def test_similar_products_have_an_id_that_needs_no_row(colours: Shop) -> None:
    one = colours.client.get("/v1/products/red-1/similar?limit=1").json
    (other,) = colours.client.post("/v1/similar:batch", json={"skus": ["red-1"]}).json["items"]
    assert one["recommendation_id"] != other["recommendation_id"]
    act(colours, ("click", "red-2"), recommendation_id=one["recommendation_id"])
    act(colours, ("cart", "red-2"), recommendation_id=other["recommendation_id"])
    act(colours, ("click", "red-2"), recommendation_id="similar-x-1")
    assert days(colours) == {
        ("similar", "look", False): (0, 0, 1, 1, 0),
        ("unknown", "unknown", False): (0, 0, 1, 0, 0),
    }
    with colours.services.db.read() as session:
        generations = session.scalars(select(ListedDay.generation_id).order_by(ListedDay.list_name))
        assert list(generations) == [one["generation"], 0]
        assert session.scalar(select(func.count()).select_from(ListedAnswer)) == 0


def test_deleting_a_shopper_deletes_their_answers(colours: Shop) -> None:
    act(colours, ("view", "red-1"), user="ann", session="visit")
    mine = [
        colours.client.get("/v1/users/ann/recommendations").json,
        colours.client.post("/v1/recommendations", json={"session": "visit"}).json,
    ]
    kept = colours.client.get(f"/v1/recommendations/{mine[1]['recommendation_id']}").json
    assert kept["question"]["body"] == {"session": "visit"}
    mine.append(colours.client.get("/v1/products/red-1/together?user=ann").json)
    other = colours.client.get("/v1/users/bob/recommendations").json
    assert exported(colours, "ann") == sorted(it["recommendation_id"] for it in mine)
    assert exported(colours, "bob") == [other["recommendation_id"]]
    assert colours.client.delete("/v1/users/ann").status_code == 200
    for answer in mine:
        path = f"/v1/recommendations/{answer['recommendation_id']}"
        assert colours.client.get(path).status_code == 404
    path = f"/v1/recommendations/{other['recommendation_id']}"
    shown = colours.client.get(path)
    assert shown.status_code == 200
    assert exported(colours, "ann") == []
    assert colours.client.get("/v1/users/bob/answers").json["items"] == [shown.json]


def exported(shop: Shop, user: str) -> list[str]:
    """Return the ids of all answers that are kept for a shopper, read page by page."""
    found, path = [], f"/v1/users/{user}/answers?limit=1"
    page = shop.client.get(path).json
    while True:
        found += [it["recommendation_id"] for it in page["items"]]
        if page["next_cursor"] is None:
            return found
        page = shop.client.get(f"{path}&cursor={page['next_cursor']}").json


def test_a_cursor_of_another_list_is_refused(colours: Shop) -> None:
    for cursor in ("ZXZlbnRzOjE", "!"):
        answer = colours.client.get(f"/v1/users/ann/answers?cursor={cursor}")
        assert answer.status_code == 422, answer.text
        assert answer.json["errors"][0]["code"] == "invalid-cursor"


def given(number: int) -> GivenAnswer:
    return GivenAnswer(
        id=f"a-{number}",
        list_name=ListName.NEW,
        generation_id=1,
        items=[ListedItem(1, "red-1", 0.0, "new")],
        question={},
    )


def test_answers_are_kept_for_a_day_and_not_too_many(colours: Shop) -> None:
    db, moment = colours.services.db, utcnow()
    for number in range(4):
        db.write(lambda session, n=number: answers.store(session, [given(n)]))  # type: ignore[misc]
        at = moment - timedelta(hours=[30, 3, 2, 1][number])
        changed = update(ListedAnswer).where(ListedAnswer.id == f"a-{number}").values(at=at)
        db.write(lambda session, it=changed: session.execute(it))  # type: ignore[misc]

    def left() -> list[str]:
        with db.read() as session:
            return list(session.scalars(select(ListedAnswer.id).order_by(ListedAnswer.id)))

    assert db.write(lambda session: answers.delete_old(session, most=10)) == 1
    assert left() == ["a-1", "a-2", "a-3"]
    assert db.write(lambda session: answers.delete_old(session, most=2)) == 1
    assert left() == ["a-2", "a-3"]


def test_an_answer_never_waits_for_the_database(
    colours: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = AnswerLog(colours.services.db, most=10)
    monkeypatch.setattr(answers, "MOST_WAITING", 3)
    monkeypatch.setattr(answers, "PAUSE_SECONDS", 60)
    for number in range(5):
        log.note(given(number))
    log.close()
    with colours.services.db.read() as session:
        assert session.scalar(select(func.count()).select_from(ListedAnswer)) == 3
    log.note(given(9))
    silent = AnswerLog(colours.services.db, most=0)
    silent.note(given(9))
    silent.flush()
    with colours.services.db.read() as session:
        assert session.get(ListedAnswer, "a-9") is None


def test_the_report_shows_shares_with_intervals(
    settings: Settings, run_command: Callable[..., Result]
) -> None:
    services = build(settings)
    today = day_of(utcnow())
    rows = [
        ListedDay(
            day=today - ago,
            list_name="user",
            reason=reason,
            generation_id=1,
            cold=cold,
            listed=20,
            impressions=impressions,
            clicks=clicks,
            carts=0,
            purchases=0,
        )
        for ago, reason, cold, impressions, clicks in [
            (0, "look", True, 10, 4),
            (1, "look", False, 10, 6),
            (1, "new", False, 0, 0),
            (40, "look", False, 1000, 0),
        ]
    ]
    services.db.write(lambda session: session.add_all(rows))
    shown = run_command("report", "recommendations", "--by", "reason", "--json").stdout
    look, new = json.loads(shown)["items"]
    assert look["group"] == {"reason": "look"}
    assert (look["listed"], look["impressions"], look["clicks"], look["cold"]) == (40, 20, 10, 0.5)
    assert look["click_through"] == pytest.approx([0.5, 0.2993, 0.7007], abs=1e-4)
    assert look["add_to_cart"][0] == 0
    assert (new["click_through"], new["cold"]) == (None, 0.0)
    table = run_command("report", "recommendations").stdout
    assert "50.0%" in table
    assert "29.9 to 70.1%" in table
    assert re.search(r"^ user +look ", table, re.MULTILINE), "names are shown on 80 columns, too"
    metric, by_arm = read_recommendations(services.db)
    samples = {tuple(it.labels.values()): it.value for it in metric.samples}
    assert samples["user", "look", "true", "clicks"] == 4
    assert not by_arm.samples
    services.close()
