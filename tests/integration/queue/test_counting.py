"""A count that one process stores for the others: how long it is used, and by whom."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete
from support.rows import NOON, make_generation
from support.shop import Shop

from backend import generations
from backend.database.engine import Database
from backend.database.models import Count
from backend.queue import counting
from backend.queue.counting import GOOD_FOR, Counted
from backend.queue.progress import Progress
from backend.status import status

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
