"""How much waited, minute by minute: one sample a minute, for one day."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete
from support.rows import NOON, make_generation, make_products, request
from support.shop import Shop

from backend.database.engine import Database
from backend.database.models import QueueSample
from backend.queue import history
from backend.queue.counting import Counted
from backend.queue.history import QueueMinute
from backend.queue.progress import Progress
from backend.worker.loop import Worker

BUSY = Progress(
    products=9,
    pending=5,
    indexed=3,
    quarantined=1,
    removing=0,
    oldest_request=NOON - timedelta(seconds=90),
    awaited=2,
)


def test_a_minute_has_one_sample_and_a_day_of_them_is_kept(any_db: Database) -> None:
    generation = make_generation(any_db)
    moments = [NOON + timedelta(seconds=seconds) for seconds in (0, 30, 60, 24 * 3600)]
    for at in moments:
        any_db.write(lambda session, it=at: history.record(session, generation, Counted(BUSY, it)))
    with any_db.read() as session:
        kept = history.recorded(session, now=moments[-1])
        later = history.recorded(session, now=moments[-1] + timedelta(days=1))
    assert [sample.at for sample in kept] == [moments[2], moments[3]], "the first is a day old"
    assert kept[0] == QueueMinute(
        at=moments[2], waiting=3, oldest_seconds=150, indexed=3, quarantined=1
    )
    assert later == []


def test_a_sample_counts_the_active_generation_once_a_minute(db: Database) -> None:
    history.sample(db)
    with db.read() as session:
        assert history.recorded(session) == [], "there is no generation yet"
    make_generation(db)
    request(db, make_products(db, 2))
    history.sample(db)
    with db.read() as session:
        [first, *_] = history.recorded(session)
    assert (first.waiting, first.indexed) == (2, 0)
    assert first.oldest_seconds > 3600


def test_a_worker_samples_its_queue_at_its_start_and_not_again_within_a_minute(shop: Shop) -> None:
    shop.put("red", "red")
    shop.work()
    shop.execute(delete(QueueSample))
    shop.worker.work_once()
    with shop.db.read() as session:
        assert not history.recorded(session)
    Worker(shop.services).work_once()
    with shop.db.read() as session:
        [sample] = history.recorded(session)
    assert (sample.waiting, sample.indexed) == (0, 1)
