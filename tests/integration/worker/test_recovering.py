"""Whoever takes over an index does not wait for what its killed predecessor held."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import update
from support.image_files import colour_image
from support.shop import Shop

from backend import jobs, queue
from backend.database.models import Job
from backend.jobs import RUNNING
from backend.queue import Stage
from backend.settings import Settings
from backend.worker.loop import Worker

BROKER = "redis://127.0.0.1:1/0"  # nothing here connects to it


@pytest.fixture
def shop(settings: Settings) -> Iterator[Shop]:
    """A shop whose owner was killed: one product half way, in each stage, and a job."""
    with Shop(settings) as one:
        one.save("red", colour_image("red"))
        one.embed()
        one.save("green", colour_image("green"))
        for stage in (Stage.APPLY, Stage.EMBED):
            assert one.db.write(
                lambda session, stage=stage: queue.claim(
                    session, one.generation.id, stage, limit=1, lease=one.lease
                )
            )
        jobs.write(one.db, "verify")
        one.execute(update(Job).values(state=RUNNING))
        yield one


def is_due(shop: Shop, stage: Stage) -> bool:
    with shop.db.read() as session:
        return queue.is_due(session, shop.generation.id, stage)


def recover(shop: Shop, **settings: str) -> None:
    shop.services.settings = shop.services.settings.model_copy(update=settings)
    Worker(shop.services).recover()


def job_of(shop: Shop) -> Job:
    with shop.db.read() as session:
        return jobs.newest(session)[0]


def test_beside_a_broker_the_owner_frees_its_jobs_and_what_it_was_to_write(shop: Shop) -> None:
    recover(shop, broker_url=BROKER)
    assert job_of(shop).state == jobs.QUEUED
    assert is_due(shop, Stage.APPLY)
    assert not is_due(shop, Stage.EMBED)  # a worker may be at it


def test_a_worker_beside_the_owner_frees_nothing(shop: Shop) -> None:
    shop.services.owner.release()
    recover(shop, broker_url=BROKER)
    assert job_of(shop).state == RUNNING
    assert not is_due(shop, Stage.APPLY)


def test_with_a_qdrant_server_other_workers_may_hold_all_of_it(shop: Shop) -> None:
    recover(shop, broker_url=BROKER, qdrant_url="http://127.0.0.1:1")
    assert job_of(shop).state == RUNNING
    assert not is_due(shop, Stage.APPLY)


def test_it_is_freed_before_a_network_is_loaded(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(
        type(shop.services), "first_generation", lambda _: seen.append(job_of(shop).state)
    )
    recover(shop)
    assert seen == [jobs.QUEUED]
