"""`match`: fitted on a shop's labels, shown with each item, and demanded by `min_match`."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from threading import Thread
from typing import Any

import numpy as np
import pytest
from celery import Celery
from sqlalchemy import insert, update
from support.servers import wait_for
from support.shop import Shop

from backend.catalogue.image_vectors import pack
from backend.database.models import Generation, ImageVector, IndexEntry, Product, utcnow
from backend.reindex import calibration
from backend.reindex.checks import Side
from backend.worker import maintenance
from backend.worker.loop import Worker
from workers import names
from workers.interactive import Replies
from workers.tasks import register

DIRECTIONS = 13
KINDS = ("Shirts", "Jeans", "Bags")
COUNT = 150
URL = "/v1/products/s1/similar"


def vector_of(number: int, size: int) -> Any:
    """Products of a kind lie around the same place, near enough to the others to be mixed up."""
    dice = np.random.default_rng(number)
    found = np.zeros(size)
    found[number % len(KINDS)] = 1
    found[:DIRECTIONS] += dice.normal(scale=0.28, size=DIRECTIONS)
    return (found / np.linalg.norm(found)).astype(np.float16).astype(np.float32)


def stock(shop: Shop, numbers: range, *, kinds: bool = True) -> None:
    """Catalogue and index products whose vectors are known."""
    generation = shop.generation
    types = [KINDS[n % len(KINDS)] if kinds else None for n in numbers]
    rows = [
        {"id": n, "sku": f"s{n}", "article_type": kind, "year": n}
        for n, kind in zip(numbers, types, strict=True)
    ]
    vectors = [
        {
            "image_digest": f"m{n}",
            "fingerprint": generation.fingerprint,
            "vector": pack(vector_of(n, generation.size)),
        }
        for n in numbers
    ]
    entry = {"generation_id": generation.id, "embedded": 1}
    entry |= dict.fromkeys(("requested_at", "due_at"), utcnow())
    queue = [entry | {"product_id": n, "embedded_digest": f"m{n}"} for n in numbers]
    for table, values in ((Product, rows), (ImageVector, vectors), (IndexEntry, queue)):
        shop.db.write(lambda session, t=table, v=values: session.execute(insert(t), v))
    shop.work()


@pytest.fixture
def kinds(shop: Shop) -> Iterator[Shop]:
    """A shop of three kinds; afterwards its generation has no curve."""
    stock(shop, range(1, COUNT + 1))
    yield shop
    shop.execute(update(Generation).values(match_curve=None, match_version=None))


@pytest.fixture
def fitted(kinds: Shop) -> Shop:
    """The same, with a curve."""
    assert kinds.worker.maintenance.calibrate() is True
    return kinds


def ask(shop: Shop, **query: Any) -> Any:
    answer = shop.client.get(URL, query_string={"limit": 100, **query})
    assert answer.status_code == 200, answer.text
    return answer.json


def curve_of(shop: Shop) -> Any:
    return shop.client.get(f"/v1/admin/generations/{shop.generation.id}").json["match"]


def test_without_a_curve_there_is_no_match_and_none_is_demanded(kinds: Shop) -> None:
    plain = ask(kinds)
    assert not any("match" in item for item in plain["items"])
    assert "min_match_score" not in plain["meta"]
    demanded = ask(kinds, min_match=0.9)
    assert len(demanded["items"]) == len(plain["items"]) == 100
    assert demanded["meta"]["min_match_score"] is None
    assert curve_of(kinds) is None


def test_each_item_has_the_match_of_its_score(fitted: Shop) -> None:
    curve, items = curve_of(fitted), ask(fitted)["items"]
    assert curve["by"] == "article_type"
    assert curve["products"] == COUNT
    expected = np.interp(
        [item["score"] for item in items], [-1, *curve["scores"]], [0, *curve["shares"]]
    )
    assert [item["match"] for item in items] == pytest.approx(expected.tolist(), abs=1e-4)
    assert [item["match"] for item in items] == sorted(
        (item["match"] for item in items), reverse=True
    )
    assert items[0]["match"] > 0.9
    assert items[-1]["match"] < 0.5


def test_the_match_is_the_share_of_the_same_kind(fitted: Shop) -> None:
    said, found = [], []
    for number in range(1, COUNT + 1, 3):
        answer = fitted.client.get(f"/v1/products/s{number}/similar?limit=30").json
        said += [item["match"] for item in answer["items"]]
        kind = KINDS[number % len(KINDS)]
        found += [item["product"]["article_type"] == kind for item in answer["items"]]
    likely = np.array(said) > 0.8
    assert np.array(found)[likely].mean() == pytest.approx(np.array(said)[likely].mean(), abs=0.08)
    assert np.array(found).mean() == pytest.approx(np.array(said).mean(), abs=0.08)
    assert curve_of(fitted)["error"] < 0.1


@pytest.mark.parametrize("least", [0.3, 0.6, 0.9])
def test_a_least_match_cuts_the_list_where_the_match_falls_below(
    fitted: Shop, least: float
) -> None:
    expected = [item["sku"] for item in ask(fitted)["items"] if item["match"] >= least]
    demanded = ask(fitted, min_match=least)
    assert [item["sku"] for item in demanded["items"]] == expected
    assert 0 < len(expected) < 100
    score = demanded["meta"]["min_match_score"]
    assert min(item["score"] for item in demanded["items"]) >= score
    higher = ask(fitted, min_match=least, min_score=score + 0.01)
    assert len(higher["items"]) <= len(expected)


def test_a_match_that_no_score_has_leaves_nothing_unless_it_is_dropped(fitted: Shop) -> None:
    most = curve_of(fitted)["shares"][-1]
    least = min(1.0, most + 0.001)
    nothing = ask(fitted, min_match=least)
    expected = 2.0 if most < 1 else pytest.approx(curve_of(fitted)["scores"][-1], abs=0.01)
    assert nothing["meta"]["min_match_score"] == expected
    relaxed = ask(fitted, min_match=least, relax="min_match", limit=20)
    assert len(relaxed["items"]) == 20
    assert relaxed["meta"]["relaxed"] == ["min_match"]
    assert relaxed["items"][-1]["relaxed"] == ["min_match"]


def test_every_kind_of_request_takes_it_also_by_a_placement(fitted: Shop) -> None:
    client, expected = fitted.client, [it["sku"] for it in ask(fitted, min_match=0.8)["items"]]
    body = {"sku": "s1", "limit": 100, "min_match": 0.8}
    posted = client.post("/v1/similar", json=body).json
    batch = client.post(
        "/v1/similar:batch", json={"skus": ["s1"], "limit": 100, "min_match": 0.8}
    ).json["items"][0]
    put = client.put("/v1/admin/placements/kin", json={"min_match": 0.8, "limit": 100})
    assert put.status_code in (200, 201), put.text
    placed = client.get(f"{URL}?placement=kin").json
    client.delete("/v1/admin/placements/kin")
    for answer in (posted, batch, placed):
        assert [item["sku"] for item in answer["items"]] == expected
        assert all(item["match"] >= 0.8 for item in answer["items"])
    assert batch["min_match_score"] == posted["meta"]["min_match_score"] > 0
    for value in ("1.1", "-0.1", "high"):
        assert client.get(f"{URL}?min_match={value}").status_code == 422


def test_a_curve_is_seen_at_once_and_fitted_again_when_the_shop_has_doubled(fitted: Shop) -> None:
    before = curve_of(fitted)
    regular = fitted.worker.maintenance
    assert regular.calibrate() is None
    stock(fitted, range(COUNT + 1, 2 * COUNT - 1))
    assert regular.calibrate() is None
    stock(fitted, range(2 * COUNT - 1, 2 * COUNT + 1))
    assert regular.calibrate() is True
    after = curve_of(fitted)
    assert (before["products"], after["products"]) == (COUNT, 2 * COUNT)
    items = ask(fitted)["items"]
    shown = np.interp(items[50]["score"], [-1, *after["scores"]], [0, *after["shares"]])
    assert items[50]["match"] == pytest.approx(shown, abs=1e-4)


def test_a_worker_that_is_idle_fits_the_curve(kinds: Shop) -> None:
    worker = Worker(kinds.services)
    thread = Thread(target=worker.run)
    thread.start()
    try:
        wait_for(lambda: curve_of(kinds) is not None)
    finally:
        worker.stop()
        thread.join()
    assert curve_of(kinds)["products"] == COUNT


def test_after_a_look_it_waits_before_the_next_one(
    kinds: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "CALIBRATE_SECONDS", inf)
    looking = Worker(kinds.services).maintenance
    looking.calibrate_if_due()
    stock(kinds, range(COUNT + 1, 2 * COUNT + 1))
    looking.calibrate_if_due()
    assert curve_of(kinds)["products"] == COUNT
    assert looking.calibrate() is True


def test_a_worker_of_celery_fits_the_curve_beside_its_regular_look(kinds: Shop) -> None:
    app = Celery(broker="redis://127.0.0.1:1/0", set_as_current=False)
    broken = kinds.settings.model_copy(update={"broker_url": app.conf.broker_url})
    register(app, Worker(kinds.services), notify=lambda: None, replies=Replies(broken))
    app.tasks[names.RECONCILE]()
    assert curve_of(kinds)["products"] == COUNT


def test_products_without_a_kind_give_no_curve(shop: Shop) -> None:
    stock(shop, range(1, COUNT + 1), kinds=False)
    assert shop.worker.maintenance.calibrate() is False
    assert not any("match" in item for item in ask(shop)["items"])


def test_few_products_give_no_curve(shop: Shop) -> None:
    stock(shop, range(1, calibration.LEAST_PRODUCTS))
    assert shop.worker.maintenance.calibrate() is None
    side = Side(shop.generation, shop.index)
    assert calibration.calibrate(shop.db, side) is None
