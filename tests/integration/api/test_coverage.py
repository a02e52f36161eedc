"""An index that is empty or filling says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Event, Thread

import pytest
from flask.testing import FlaskClient
from support.shop import Shop
from typer.testing import Result

from backend.api import create_app
from backend.database.models import Generation
from backend.search import coverage
from backend.search.coverage import Coverage, CoverageMonitor
from backend.settings import Settings
from backend.vectors import VectorIndex

URL = "/v1/products/0001/similar"


def counting(shop: Shop, **changes: float) -> FlaskClient:
    """A client of a process that has counted nothing yet."""
    services = shop.services
    fresh = CoverageMonitor(shop.db, services.indexes.of)
    settings = services.settings.model_copy(update=changes)
    return create_app(replace(services, coverage=fresh, settings=settings)).test_client()


@contextmanager
def without_points(shop: Shop, count: int) -> Iterator[None]:
    """Take so many points away; `verify --fix` refills them."""
    claims = dict(list(shop.index.claims())[:count])
    shop.index.delete(claims)
    yield
    shop.repair()


def test_a_full_index_is_ready_and_counted(wardrobe: Shop) -> None:
    ready = counting(wardrobe).get("/readyz").json
    assert ready["index"] == {"points": 5, "products": 5, "coverage": 1.0}
    assert counting(wardrobe).get(URL).json["meta"]["coverage"] == 1


def test_an_index_that_was_lost_is_not_ready_until_it_is_filled(wardrobe: Shop) -> None:
    with without_points(wardrobe, 3):
        client = counting(wardrobe)
        refused = client.get("/readyz")
        assert (refused.status_code, refused.json["code"]) == (503, "not-ready")
        assert "index: 2 of 5 products" in refused.json["detail"]
        assert "lookalike verify --fix" in refused.json["checks"]["index"]
        assert refused.json["index"] == {"points": 2, "products": 5, "coverage": 0.4}
        assert client.get(URL).json["meta"]["coverage"] == 0.4
        assert client.get("/livez").status_code == 200
    assert counting(wardrobe).get("/readyz").status_code == 200


def test_the_share_is_a_setting(wardrobe: Shop) -> None:
    with without_points(wardrobe, 3):
        for share, status in ((0.41, 503), (0.4, 200), (0, 200), (1, 503)):
            assert counting(wardrobe, ready_coverage=share).get("/readyz").status_code == status
    assert counting(wardrobe, ready_coverage=1).get("/readyz").status_code == 200


def test_an_empty_shop_and_a_first_import_are_ready(shop: Shop) -> None:
    ready = counting(shop, ready_coverage=1).get("/readyz")
    assert ready.json["index"] == {"points": 0, "products": 0, "coverage": 1.0}
    for number in range(3):
        shop.put(f"{number}", "red")
    ready = counting(shop, ready_coverage=1).get("/readyz")
    assert ready.status_code == 200
    assert ready.json["index"] == {"points": 0, "products": 3, "coverage": 0.0}


def test_what_cannot_be_in_the_index_does_not_count(wardrobe: Shop) -> None:
    wardrobe.put("without an image")
    assert counting(wardrobe).get("/readyz").json["index"]["products"] == 6, "it may get one"
    wardrobe.work()
    assert counting(wardrobe).get("/readyz").json["index"]["products"] == 5
    wardrobe.client.delete("/v1/products/0005")
    assert counting(wardrobe).get("/readyz").json["index"]["products"] == 4


def test_the_active_generation_serves_while_the_next_one_fills(settings: Settings) -> None:
    with Shop(settings) as shop:
        for number in range(3):
            shop.put(f"{number}", f"#{number * 40 + 80:02x}0000")
        shop.work()
        active = shop.generation
        asked = shop.client.post("/v1/admin/reindex", json={"embedder": "mean-colour?grid=3"})
        assert asked.status_code == 202
        while len(listed := shop.client.get("/v1/admin/generations").json["items"]) < 2:
            shop.worker.work_once()
        assert (listed[0]["state"], listed[0]["indexed"]) == ("building", 0)
        client = counting(shop, ready_coverage=1)
        assert client.get("/readyz").json["index"]["coverage"] == 1
        answer = client.get("/v1/products/0/similar").json
        assert (len(answer["items"]), answer["generation"]) == (2, active.id)
        assert answer["meta"]["coverage"] == 1


# --- how often it is counted ---------------------------------------------------------------------


def test_queries_count_nothing_once_it_is_counted(wardrobe: Shop) -> None:
    monitor = CoverageMonitor(wardrobe.db, wardrobe.services.indexes.of)
    first = monitor.known(wardrobe.generation)
    assert first == Coverage(points=5, products=5, embedded=5)
    with without_points(wardrobe, 3):
        assert monitor.known(wardrobe.generation) is first
        assert monitor.current(wardrobe.generation) is first, "still recent"


def test_nobody_waits_while_another_counts(wardrobe: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe of readiness gives up after a second, and a count may take longer."""
    monkeypatch.setattr(coverage, "GOOD_FOR_SECONDS", 0)
    monkeypatch.setattr(coverage, "GOOD_FOR", 0)
    counting_now, may_end = Event(), Event()
    may_end.set()

    def index_of(generation: Generation) -> VectorIndex:
        counting_now.set()
        assert may_end.wait(60)
        return wardrobe.services.indexes.of(generation)

    monitor = CoverageMonitor(wardrobe.db, index_of)
    first = monitor.current(wardrobe.generation)
    wardrobe.client.delete("/v1/products/0005")  # an unchanged index is not counted again
    counting_now.clear()
    may_end.clear()
    counter = Thread(target=monitor.current, args=[wardrobe.generation])
    counter.start()
    assert counting_now.wait(60)
    assert monitor.current(wardrobe.generation) is first
    may_end.set()
    counter.join(60)
    assert monitor.latest is not first


def test_the_worker_counts_beside_its_work(wardrobe: Shop) -> None:
    wardrobe.services.coverage.__init__(wardrobe.db, wardrobe.services.indexes.of)  # type: ignore[misc]
    assert wardrobe.services.coverage.latest is None
    with wardrobe.working():
        while wardrobe.services.coverage.latest is None:
            wardrobe.worker.wake_up.set()
    assert wardrobe.services.coverage.latest.share == 1


# --- on the command line -------------------------------------------------------------------------


def test_the_command_names_what_fills_the_index(
    settings: Settings, run_command: Callable[..., Result]
) -> None:
    settings = settings.model_copy(update={"embedder": "mean-colour"})
    with Shop(settings) as shop:
        for number in range(4):
            shop.put(f"{number}", f"#{number * 40 + 80:02x}0000")
        shop.work()
    assert "verify --fix" not in run_command("similar", "0").output
    with Shop(settings) as shop:
        shop.index.delete(dict(list(shop.index.claims())[:3]))
    said = " ".join(run_command("similar", "0").output.split())
    assert "The index holds 25% of the catalogue" in said
    assert "`lookalike verify --fix`" in said


def test_an_unchanged_index_is_not_counted_again(
    wardrobe: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coverage, "GOOD_FOR_SECONDS", 0)
    monkeypatch.setattr(coverage, "GOOD_FOR", 0)
    monitor = CoverageMonitor(wardrobe.db, wardrobe.services.indexes.of)
    monitor.refresh()
    counted = monitor.latest
    monitor.refresh()
    assert monitor.latest is counted
    with without_points(wardrobe, 2):
        monitor.refresh()
        assert monitor.latest is not None
        assert monitor.latest.points == 3
    monitor.refresh()
    assert monitor.latest.points == 5
    wardrobe.client.delete("/v1/products/0005")
    monitor.refresh()
    assert monitor.latest.products == 4
