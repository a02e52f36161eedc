"""A count that one process stores for the others: how long it is used, and by whom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete
from sqlalchemy.orm import Session
from support.rows import NOON, make_generation
from support.shop import Shop

from backend import generations
from backend.database.engine import Database
from backend.database.models import Count
from backend.queue import counting
from backend.queue.counting import GOOD_FOR, Counted
from backend.queue.progress import Progress
from backend.status import status
from backend.worker import handlers

MILLIONS = Progress(
    products=9_000_000,
    pending=2,
    indexed=8_999_990,
    quarantined=8,
    removing=1,
    oldest_request=NOON,
)


def count(shop: Shop, **options: timedelta) -> dict[str, Any]:
    return status(shop.services.db, shop.services.indexes.look_at_shard, **options)


def test_a_count_is_good_for_a_multiple_of_what_it_took(any_db: Database) -> None:
    generation = make_generation(any_db)
    counted = Counted(MILLIONS, NOON)
    any_db.write(lambda session: counting.keep(session, generation, counted, took=3))
    with any_db.read() as session:
        last = NOON + timedelta(seconds=3 * GOOD_FOR)
        assert counting.recent(session, generation, now=last) == counted
        assert counting.recent(session, generation, now=last + timedelta(seconds=1)) is None
        assert counting.recent(session, generation + 1, now=last) is None


def test_a_new_count_takes_the_place_of_the_one_before(any_db: Database) -> None:
    generation = make_generation(any_db)
    for moment in (NOON, NOON + timedelta(minutes=1)):
        counted = Counted(MILLIONS, moment)
        any_db.write(lambda session, it=counted: counting.keep(session, generation, it, took=3))
    with any_db.read() as session:
        assert counting.recent(session, generation, now=moment) == counted


def test_what_is_counted_in_no_time_is_always_counted(shop: Shop) -> None:
    shop.put("one", "red")
    shop.work()
    with shop.services.db.read() as session:
        generation = generations.active(session).id
    assert counting.count(shop.services.db, generation).progress.products == 1
    with shop.services.db.read() as session:
        assert counting.recent(session, generation) is None


@pytest.fixture
def large(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A shop whose counts are kept, until the end of the test: others go on in it."""
    monkeypatch.setattr(counting, "MANY", 1)
    monkeypatch.setattr(counting, "GOOD_FOR", 1e6)
    yield shop
    shop.services.db.write(lambda session: session.execute(delete(Count)))


def test_a_large_catalogue_is_counted_once_for_all(large: Shop) -> None:
    large.put("one", "red")
    large.work()
    assert large.client.get("/v1/status").json["products"] == 1
    large.put("two", "green")
    assert large.client.get("/v1/status").json["products"] == 1, "counted again"
    year = timedelta(days=365)
    assert count(large, recent=timedelta(seconds=10))["products"] == 1
    assert count(large, recent=year)["products"] == 2, "good, but not for so long"
    large.put("three", "blue")
    assert large.client.get("/v1/status").json["products"] == 2
    assert count(large)["products"] == 3, "whoever wants to know it counts"
    assert large.client.get("/v1/status").json["products"] == 3


def test_two_processes_that_store_the_first_count_at_once_both_succeed(any_db: Database) -> None:
    """Each has seen that there is none; with a merge, the second INSERT failed."""
    generation = make_generation(any_db)
    moments = [NOON, NOON + timedelta(minutes=1)]

    def both_insert(session: Session) -> None:
        for moment in moments:
            counting.keep(session, generation, Counted(MILLIONS, moment), took=3)
            session.flush()
            session.expunge_all()

    original = Session.get

    def sees_none(self: Session, *args: Any, **options: Any) -> Any:
        return None if args[0] is Count else original(self, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "get", sees_none)
        any_db.write(both_insert)
    with any_db.read() as session:
        assert counting.recent(session, generation, now=NOON) == Counted(MILLIONS, moments[1])


def test_the_status_takes_one_connection_at_a_time(large: Shop) -> None:
    """Two for each of 16 requests emptied a pool of 15, and all of them waited for each other."""
    large.put("one", "red")
    url = large.db.engine.url.render_as_string(hide_password=False)
    small = Database(url, pool_size=1, max_overflow=0, pool_timeout=0.1)
    shown = status(small, large.services.indexes.look_at_shard)
    assert shown["products"] == 1
    assert shown["generation"]
    small.close()


def test_the_list_of_generations_uses_a_stored_count(large: Shop) -> None:
    large.put("one", "red")
    large.work()
    (before,) = large.client.get("/v1/admin/generations").json["items"]
    large.put("two", "green")
    (after,) = large.client.get("/v1/admin/generations").json["items"]
    assert (before["products"], after["products"]) == (1, 1), "counted again"
    number = before["id"]
    assert large.client.get(f"/v1/admin/generations/{number}").json["products"] == 1


# --- a job that shows its progress ----------------------------------------------------------------


@pytest.fixture
def slow_counts(monkeypatch: pytest.MonkeyPatch) -> list[Progress]:
    """Counts that take a second each, by a clock of the test's; what was counted."""
    counted: list[Progress] = []
    clock = [1000.0]

    def count_slowly(_db: object) -> Progress:
        clock[0] += 1
        counted.append(MILLIONS)
        return MILLIONS

    monkeypatch.setattr(handlers, "active_progress", count_slowly)
    monkeypatch.setattr(handlers.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(handlers, "tick", lambda: clock.__setitem__(0, clock[0] + 1), raising=False)
    return counted


def test_counting_takes_a_small_share_of_a_busy_round(slow_counts: list[Progress]) -> None:
    """Once a count took two seconds, each round was followed by one."""
    paced = handlers.PacedProgress(None)  # type: ignore[arg-type]
    for _ in range(100):
        assert paced.current(busy=True) is MILLIONS
        handlers.tick()  # type: ignore[attr-defined]
    assert len(slow_counts) == 100 // GOOD_FOR
    slow_counts.clear()
    for _ in range(10):
        paced.current(busy=False)
        handlers.tick()  # type: ignore[attr-defined]
    assert len(slow_counts) == 10, "only a count tells that all is done"


def test_nothing_is_at_rest_by_an_old_count(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([replace(MILLIONS, pending=0, removing=0), MILLIONS])
    monkeypatch.setattr(handlers, "active_progress", lambda _db: next(now))
    paced = handlers.PacedProgress(None)  # type: ignore[arg-type]
    assert paced.current(busy=True).at_rest
    assert not paced.current(busy=True).at_rest
