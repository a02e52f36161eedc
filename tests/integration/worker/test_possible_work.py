"""A round that can find nothing asks nothing, and what another process commits is found by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, update
from support.image_files import random_image
from support.rows import statements_of
from support.shop import QUICK, Shop

from backend import jobs
from backend.database import clock
from backend.database.engine import Database
from backend.database.models import (
    RETIRED,
    Event,
    Feed,
    Generation,
    IndexEntry,
    Job,
    JobInput,
    Product,
    ProductPair,
)
from backend.events.record import DUE
from backend.worker.loop import Worker
from backend.worker.possible_work import PossibleWorkCache


@pytest.fixture
def shop(settings: Any) -> Iterator[Shop]:
    with Shop(settings, **QUICK) as one:
        yield one


def settle(worker: Worker) -> None:
    """Work until a round finds nothing, and nothing that is done once a minute is left."""
    while worker.work_once():
        pass
    for _ in range(3):
        worker.work_once()


def test_a_round_without_a_commit_asks_nothing_of_a_file(shop: Shop) -> None:
    worker = Worker(shop.services)
    settle(worker)
    known = worker.possible.now()
    with statements_of(shop.db) as asked:
        worker.work_once()
    assert asked == []
    assert worker.possible.now() is known  # asked by a connection beside the pool


def test_what_another_process_saves_is_indexed_by_the_next_round(shop: Shop) -> None:
    worker = Worker(shop.services)
    settle(worker)
    elsewhere = Database(shop.services.settings.database)
    job = jobs.write(elsewhere, "verify")
    elsewhere.close()
    assert worker.work_once()
    found = jobs.read(shop.db, job)
    assert found is not None
    assert found.state == jobs.DONE
    shop.save("new", random_image(1))
    assert worker.work_once()


def test_a_row_that_is_due_later_is_found_without_a_commit(shop: Shop) -> None:
    shop.save("product", random_image(1))
    worker = Worker(shop.services)
    settle(worker)

    def request_later(session: Any) -> None:
        due = clock.now(session) + timedelta(seconds=0.5)
        session.execute(update(IndexEntry).values(wanted=IndexEntry.wanted + 1, due_at=due))

    shop.db.write(request_later)
    assert worker.possible.now().queue
    assert not worker.work_once()
    deadline = clock.elapsed() + 20
    while not worker.work_once():
        assert clock.elapsed() < deadline


def add_generation(**values: Any) -> Callable[[Any], Any]:
    row = {"collection": "a", "embedder": "a", "fingerprint": "a", "size": 3, "index_options": {}}
    return lambda session: session.execute(insert(Generation).values(row | values))


def add_entry(**values: Any) -> Callable[[Any], Any]:
    def work(session: Any) -> None:
        session.add(Product(id=1, sku="a"))
        session.add(
            Generation(
                id=1,
                collection="a",
                embedder="a",
                fingerprint="a",
                size=3,
                state="active",
                index_options={},
            )
        )
        session.flush()
        now = clock.now(session)
        given = dict.fromkeys(values, now)
        session.add(IndexEntry(generation_id=1, product_id=1, requested_at=now, **given))

    return work


def add_job(session: Any, *, state: str) -> None:
    session.add(Job(id=1, verb="import", state=state))
    session.flush()
    session.add(JobInput(job_id=1, number=0, content=b""))


def add_feed(session: Any) -> None:
    now = clock.now(session)
    session.add(Feed(name="a", location="a", every_seconds=9, options={}, due_at=now))


def add_pair(session: Any) -> None:
    session.add_all(Product(id=number, sku=str(number)) for number in (1, 2))
    session.flush()
    session.add(ProductPair(product_id=1, other_id=2, score=1.0, times=1))


CASES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "due entry": (add_entry(due_at=1), "queue"),
    "awaited image": (add_entry(image_retry_at=1), "awaited"),
    "queued job": (lambda session: add_job(session, state=jobs.QUEUED), "jobs"),
    "input of an ended job": (lambda session: add_job(session, state=jobs.DONE), "inputs"),
    "feed": (add_feed, "feeds"),
    "retired generation": (add_generation(state=RETIRED), "leftovers"),
    "event": (lambda session: session.add(Event(kind="view", pending=DUE)), "events"),
    "pair of the previous release": (add_pair, "pairs"),
}


@pytest.mark.parametrize("case", CASES)
def test_each_kind_of_row_is_work_of_its_kind(any_db: Database, case: str) -> None:
    add, kind = CASES[case]
    possible = PossibleWorkCache(any_db)
    possible.begin_round()
    assert not any(asdict(possible.now()).values())
    any_db.write(add)
    possible.begin_round()
    assert {name for name, there in asdict(possible.now()).items() if there} == {kind}
