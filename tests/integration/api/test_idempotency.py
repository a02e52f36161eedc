"""`Idempotency-Key`: a write is done once, whatever happens on the way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete, select, update
from support.image_files import colour_image
from support.keys import bearer
from support.shop import PROBLEM, Shop

from backend.access import idempotency
from backend.access.idempotency import Claim, KeptAnswer
from backend.access.scope import Scope
from backend.api.idempotency import REPLAYED
from backend.database.engine import Database
from backend.database.models import IdempotencyKey
from backend.errors import IdempotencyKeyInUse

URL = "/v1/products/1"
KEY = {"Idempotency-Key": "order-17"}
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _no_keys(shop: Shop) -> Iterator[None]:
    shop.execute(delete(IdempotencyKey))
    yield
    shop.execute(delete(IdempotencyKey))


def rows(shop: Shop) -> list[tuple[str, int | None]]:
    with shop.db.read() as session:
        found = session.execute(select(IdempotencyKey.key, IdempotencyKey.status))
        return [(row.key, row.status) for row in found]


def age(shop: Shop, by: timedelta) -> None:
    """Let every claim be older."""
    with shop.db.read() as session:
        (at,) = session.scalars(select(IdempotencyKey.claimed_at)).all()
    shop.execute(update(IdempotencyKey).values(claimed_at=at - by))


def test_a_repeated_write_is_done_once_and_answered_as_before(shop: Shop) -> None:
    first = shop.client.put(URL, json={"price": 1}, headers=KEY)
    shop.client.patch(URL, json={"price": 2})
    again = shop.client.put(URL, json={"price": 1}, headers=KEY)
    assert (again.status_code, again.data) == (first.status_code, first.data)
    assert again.status_code == 201
    assert (REPLAYED in first.headers, again.headers[REPLAYED]) == (False, "true")
    for name in ("Location", "Content-Type", "ETag"):
        assert again.headers[name] == first.headers[name]
    assert shop.client.get(URL).json["price"] == 2, "nothing was written again"
    seen = {"If-Match": again.headers["ETag"]}
    assert shop.client.patch(URL, json={"price": 3}, headers=seen).status_code == 412


def test_answers_without_a_body_and_of_images_are_kept_too(shop: Shop) -> None:
    shop.put("1")
    image = {"data": colour_image("red"), "content_type": "image/png"}
    for sent in ({"method": "PUT", "path": f"{URL}/image", **image}, {"method": "DELETE"}):
        headers = {"Idempotency-Key": str(sent["method"])}
        statuses = [
            shop.client.open(**{"path": URL, **sent}, headers=headers).status_code for _ in range(2)
        ]
        assert statuses[0] == statuses[1] < 300


def test_another_request_with_the_same_key_is_refused(client: FlaskClient) -> None:
    client.put(URL, json={"price": 1}, headers=KEY)
    others: list[dict[str, Any]] = [
        {"method": "PUT", "path": URL, "json": {"price": 2}},
        {"method": "PATCH", "path": URL, "json": {"price": 1}},
        {"method": "PUT", "path": "/v1/products/2", "json": {"price": 1}},
    ]
    for sent in others:
        refused = client.open(**sent, headers=KEY)
        assert (refused.status_code, refused.content_type) == (422, PROBLEM)
        assert refused.json["code"] == "idempotency-key-reused"
    assert client.get(URL).json["price"] == 1


def test_what_was_refused_may_be_corrected_under_the_same_key(shop: Shop) -> None:
    assert shop.client.put(URL, json={"price": -1}, headers=KEY).status_code == 422
    assert rows(shop) == []
    assert shop.client.put(URL, json={"price": 1}, headers=KEY).status_code == 201
    assert rows(shop) == [("order-17", 201)]


def test_a_second_request_while_the_first_is_worked_on_is_409(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def notify() -> None:
        begun.set()
        assert may_end.wait(30)

    monkeypatch.setattr(shop.services, "notify", notify)
    answers: list[int] = []

    def write() -> None:
        sent = shop.app.test_client().put(URL, json={"price": 1}, headers=KEY)
        answers.append(sent.status_code)

    first = threading.Thread(target=write)
    first.start()
    assert begun.wait(30)
    refused = shop.client.put(URL, json={"price": 1}, headers=KEY)
    may_end.set()
    first.join(30)
    assert (refused.status_code, refused.json["code"]) == (409, "idempotency-key-in-use")
    assert int(refused.headers["Retry-After"]) > 0
    assert answers == [201]
    assert shop.client.put(URL, json={"price": 1}, headers=KEY).status_code == 201


def test_a_request_whose_process_was_killed_is_done_again_after_a_while(shop: Shop) -> None:
    shop.client.put(URL, json={"price": 1}, headers=KEY)
    shop.execute(update(IdempotencyKey).values(status=None))
    assert shop.client.put(URL, json={"price": 1}, headers=KEY).status_code == 409
    age(shop, idempotency.STALE + timedelta(seconds=1))
    done = shop.client.put(URL, json={"price": 1}, headers=KEY)
    assert (done.status_code, REPLAYED in done.headers) == (200, False)


def test_answers_are_kept_for_their_time_and_then_deleted(shop: Shop) -> None:
    shop.client.put(URL, json={"price": 1}, headers=KEY)
    age(shop, timedelta(hours=shop.settings.idempotency_hours, minutes=1))
    other = {"Idempotency-Key": "other"}
    shop.client.put(URL, json={"price": 2}, headers=other)
    assert rows(shop) == [("other", 200)]
    assert shop.client.put(URL, json={"price": 3}, headers=KEY).json["price"] == 3


def test_the_keys_of_each_client_are_its_own(
    shop: Shop, locked: FlaskClient, token: Callable[[Scope], str]
) -> None:
    for scope, price in ((Scope.INGEST, 1), (Scope.ADMIN, 2)):
        headers = KEY | bearer(token(scope))
        assert locked.put(URL, json={"price": price}, headers=headers).status_code < 300
    assert shop.client.get(URL).json["price"] == 2


@pytest.mark.parametrize("key", ["", "two words", "ü", "x" * 256], ids=["", "space", "ü", "long"])
def test_a_key_that_cannot_be_one_is_refused(client: FlaskClient, key: str) -> None:
    refused = client.put(URL, json={}, headers={"Idempotency-Key": key})
    assert refused.status_code == 422
    assert refused.json["errors"][0]["parameter"] == "Idempotency-Key"


def test_a_read_takes_no_key(wardrobe: Shop) -> None:
    for sku in ("0001", "0002"):
        asked = wardrobe.client.post("/v1/similar", json={"sku": sku}, headers=KEY)
        assert asked.status_code == 200
    assert rows(wardrobe) == []


def test_a_late_process_keeps_no_answer_for_a_claim_that_is_over(any_db: Database) -> None:
    def claim() -> Claim | KeptAnswer:
        return any_db.write(
            lambda session: idempotency.claim(session, "", "k", request="r", keep_for=DAY)
        )

    first = claim()
    assert isinstance(first, Claim)
    with pytest.raises(IdempotencyKeyInUse):
        claim()
    past = first.at - idempotency.STALE - timedelta(seconds=1)
    any_db.write(lambda session: session.execute(update(IdempotencyKey).values(claimed_at=past)))
    second = claim()
    assert isinstance(second, Claim)
    any_db.write(lambda session: idempotency.keep(session, first, KeptAnswer(200, {}, b"late")))
    any_db.write(lambda session: idempotency.release(session, first))
    any_db.write(
        lambda session: idempotency.keep(session, second, KeptAnswer(201, {"A": "b"}, b"ours"))
    )
    assert claim() == KeptAnswer(201, {"A": "b"}, b"ours")
