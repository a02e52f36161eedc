"""A worker carries on where a killed one stopped, and repairs what happened to its index."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import delete, update
from support.image_files import colour_image
from support.rows import entry
from support.servers import wait_for
from support.shop import QUICK, Shop, four_products

from backend import indexing, jobs, queue
from backend.catalogue.products import ImageRef
from backend.cli.indexing import print_drift
from backend.database.models import IndexEntry, Job, utcnow
from backend.errors import IndexUnavailable
from backend.jobs import DONE, QUEUED, RUNNING
from backend.queue import Stage
from backend.settings import Settings
from backend.vectors import Point
from backend.worker.loop import Worker


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first test leaves the data folder that all begin with."""
    return tmp_path_factory.mktemp("template") / "data"


@pytest.fixture
def shop(settings: Settings, template: Path) -> Iterator[Shop]:
    """Four indexed products, whose images are gone by now."""
    if not template.exists():
        four_products(Shop(settings, data_dir=template, **QUICK)).close()
    shutil.copytree(template, settings.data_dir)
    with Shop(settings, **QUICK) as found:
        yield found


# --- verify ----------------------------------------------------------------------------------


def test_a_sound_index_is_left_alone(shop: Shop) -> None:
    found = shop.run("verify", fix=True)
    assert (found["checked"], found["drift"], found["fixed"]) == (4, 0, True)


def test_what_waits_to_be_written_is_counted_and_said_to_be_not_compared(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    """After a restore all products wait, and none of them can differ."""
    again = dict.fromkeys((2, 3, 4), 0)
    shop.db.write(lambda session: queue.request_again(session, shop.generation.id, again))
    indexes = shop.services.indexes
    found = indexing.verify.verify(
        shop.db,
        [shop.generation],
        index_of=indexes.of,
        close_index=indexes.close,
        fix=False,
        full=True,
        report=lambda _done, _total: None,
    )
    assert (found["checked"], found["waiting"], found["compared"], found["drift"]) == (4, 3, 1, 0)
    print_drift(found)
    said = capsys.readouterr().out
    assert "1 vectors compared, 0 differences; 3 products wait" in " ".join(said.split())
    assert "Run it again" in said
    shop.work()
    found = shop.run("verify", full=True)
    assert (found["waiting"], found["compared"]) == (0, 4)
    capsys.readouterr()
    print_drift(dict(found))
    assert "wait" not in capsys.readouterr().out


def test_an_index_whose_folder_was_deleted_is_filled_again_without_one_image(shop: Shop) -> None:
    shop.close()
    shutil.rmtree(shop.settings.index_dir)
    shop.start()
    assert shop.repair()["missing"] == 4
    assert shop.prices() == {1: 1.0, 2: 1.0, 3: 1.0, 4: 1.0}


def test_everything_that_can_be_wrong_is_repaired_at_once(shop: Shop) -> None:
    vector = np.ones(shop.index.size, dtype=np.float32)
    shop.index.delete({1: 10})
    shop.index.upsert(
        [Point(id=id_, vector=vector, payload={"price": 99.0}, claim=30) for id_ in (2, 77)]
    )
    shop.execute(delete(IndexEntry).where(IndexEntry.product_id == 3))
    found = shop.repair()
    kinds = {kind: found[kind] for kind in ("missing", "stale", "stray", "unqueued")}
    assert kinds == {"missing": 1, "stale": 1, "stray": 1, "unqueued": 1}
    assert shop.prices() == {1: 1.0, 2: 1.0, 3: 1.0, 4: 1.0}


def test_verify_only_tells_unless_it_is_to_fix(shop: Shop) -> None:
    shop.index.delete({1: 10})
    for _ in range(2):
        found = shop.run("verify")
        assert (found["missing"], found["fixed"]) == (1, False)


def test_a_backup_of_sql_that_is_older_than_the_index_wins(shop: Shop, tmp_path: Path) -> None:
    shop.close()
    database = shop.settings.data_dir / "lookalike.sqlite"
    backup = shutil.copy(database, tmp_path / "backup.sqlite")
    shop.start()
    for price in (2.0, 3.0):
        shop.save("red", price=price)
        shop.run("index")
    shop.save("new", colour_image("black"), price=5.0)
    shop.run("index")
    assert shop.prices()[1] == 3.0
    shop.close()
    shutil.copy(backup, database)
    shop.start()
    found = shop.repair()
    assert (found["stale"], found["stray"]) == (1, 1)
    assert shop.prices() == {1: 1.0, 2: 1.0, 3: 1.0, 4: 1.0}


def test_a_repair_never_wakes_the_quarantine(shop: Shop) -> None:
    id_ = shop.save("bad", b"no image")
    shop.run("index")
    asleep = entry(shop.db, id_)
    vector = np.ones(shop.index.size, dtype=np.float32)
    shop.index.upsert([Point(id=id_, vector=vector, payload={}, claim=1)])
    assert shop.repair()["stray"] == 1
    awake = entry(shop.db, id_)
    assert (awake.claim, awake.failures, awake.due_at) == (asleep.claim, asleep.failures, None)


# --- after a death ---------------------------------------------------------------------------


def test_what_a_killed_owner_held_is_free_for_the_next(shop: Shop) -> None:
    shop.save("red", price=2.0)
    shop.save("new", colour_image("black"))
    hour = timedelta(hours=1)
    for stage in Stage:
        shop.db.write(
            lambda session, stage=stage: queue.claim(session, 1, stage, limit=9, lease=hour)
        )
    killed = jobs.write(shop.db, "index")
    shop.execute(update(Job).where(Job.id == killed).values(state=RUNNING, heartbeat_at=utcnow()))
    shop.close()
    shop.start()
    shop.work()
    job = jobs.read(shop.db, killed)
    assert job
    assert (job.state, job.result) == (
        DONE,
        {"indexed": 5, "quarantined": 0, "awaited": 0},
    )
    assert shop.prices()[1] == 2.0


def test_an_index_job_waits_out_what_may_pass_and_counts_what_does_not(shop: Shop) -> None:
    uri = "https://images.example/s.png"  # no host is allowed
    shop.save("far", image=ImageRef(uri=uri))
    shop.save("bad", b"no image")
    assert shop.run("index") == {"indexed": 4, "quarantined": 2, "awaited": 0}


# --- the loop --------------------------------------------------------------------------------


@pytest.fixture
def loop(shop: Shop) -> Iterator[Shop]:
    """The worker in a thread of its own, that would look again only in a minute."""
    shop.restart(poll_seconds=60)
    with shop.working():
        yield shop


def test_a_notification_wakes_a_worker_at_once(loop: Shop) -> None:
    loop.save("red", price=2.0)
    loop.worker.wake_up.set()
    wait_for(lambda: loop.prices()[1] == 2.0)


def test_a_worker_finds_what_it_was_not_notified_of(shop: Shop) -> None:
    with shop.working():
        shop.save("red", price=2.0)
        wait_for(lambda: shop.prices()[1] == 2.0)


def test_a_stopped_worker_leaves_its_job_to_the_next(shop: Shop) -> None:
    lease = timedelta(hours=1)
    shop.save("red", price=2.0)
    shop.db.write(lambda session: queue.claim(session, 1, Stage.APPLY, limit=9, lease=lease))
    job_id = jobs.write(shop.db, "index")

    def state() -> str:
        job = jobs.read(shop.db, job_id)
        assert job
        return job.state

    with shop.working():
        wait_for(lambda: state() == RUNNING)
    assert state() == QUEUED


def test_a_bad_round_is_told_and_survived(loop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    index = loop.index

    def down(*_: Any) -> None:
        raise IndexUnavailable("out to lunch")

    told: list[str | None] = []  # all of it: the next round, with nothing due, takes it back
    problem = property(lambda _worker: None, lambda _worker, value: told.append(value))
    monkeypatch.setattr(Worker, "problem", problem, raising=False)
    for call in ("upsert", "ping"):
        monkeypatch.setattr(index, call, down)
    loop.save("red", price=2.0)
    loop.worker.wake_up.set()
    wait_for(lambda: "failed: out to lunch" in told)
    monkeypatch.undo()
    loop.services.db.write(queue.free_leases)
    loop.worker.wake_up.set()
    wait_for(lambda: loop.prices()[1] == 2.0)
    wait_for(lambda: loop.worker.problem is None)


def test_an_idle_worker_reconciles_now_and_then(shop: Shop) -> None:
    shop.restart(reconcile_seconds=0.01)
    shop.index.delete({1: 10})
    with shop.working():
        wait_for(lambda: 1 in shop.prices())
