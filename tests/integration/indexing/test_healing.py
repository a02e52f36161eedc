"""A worker carries on where a killed one stopped, and heals what happened to its index."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import delete, update
from support.embedded_server import Plant, eventually, fill
from support.rows import entry
from support.stages import picture

from backend import jobs, queue
from backend.catalogue import products
from backend.catalogue.products import Draft, ImageRef
from backend.database.models import IndexEntry, Job, utcnow
from backend.errors import IndexUnavailable
from backend.jobs import DONE, QUEUED, RUNNING
from backend.queue import SINGLE, Stage
from backend.settings import Settings
from backend.vectors import Point
from backend.worker.loop import Worker


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first test leaves the data folder that all begin with."""
    return tmp_path_factory.mktemp("template") / "data"


@pytest.fixture
def plant(settings: Settings, template: Path) -> Iterator[Plant]:
    """Four indexed products, whose images are gone by now."""
    quick = {"embedder": "mean-colour", "retry_seconds": 0, "poll_seconds": 0.02}
    if not template.exists():
        first = Plant(settings.model_copy(update={**quick, "data_dir": template}))
        fill(first)
        first.stop()
    shutil.copytree(template, settings.data_dir)
    plant = Plant(settings.model_copy(update=quick))
    yield plant
    plant.stop()


def heal(plant: Plant) -> Mapping[str, Any]:
    """Let `verify --fix` heal, show that it did, and return what it found."""
    found = plant.run("verify", fix=True)
    assert plant.run("verify")["drift"] == 0
    assert plant.worker.progress().at_rest
    return found


# --- verify ----------------------------------------------------------------------------------


def test_a_sound_index_is_left_alone(plant: Plant) -> None:
    found = plant.run("verify", fix=True)
    assert (found["checked"], found["drift"], found["fixed"]) == (4, 0, True)


def test_an_index_whose_folder_was_deleted_is_filled_again_without_one_image(plant: Plant) -> None:
    plant.stop()
    shutil.rmtree(plant.settings.index_dir)
    plant.start()
    assert heal(plant)["missing"] == 4
    assert plant.prices() == {1: 1.0, 2: 1.0, 3: 1.0, 4: 1.0}


def test_everything_that_can_be_wrong_is_healed_at_once(plant: Plant) -> None:
    vector = np.ones(plant.index.size, dtype=np.float32)
    plant.index.delete({1: 10})
    plant.index.upsert(
        [Point(id=id_, vector=vector, payload={"price": 99.0}, claim=30) for id_ in (2, 77)]
    )
    plant.execute(delete(IndexEntry).where(IndexEntry.product_id == 3))
    found = heal(plant)
    kinds = {kind: found[kind] for kind in ("missing", "stale", "stray", "unqueued")}
    assert kinds == {"missing": 1, "stale": 1, "stray": 1, "unqueued": 1}
    assert plant.prices() == {1: 1.0, 2: 1.0, 3: 1.0, 4: 1.0}


def test_verify_only_tells_unless_it_is_to_fix(plant: Plant) -> None:
    plant.index.delete({1: 10})
    for _ in range(2):
        found = plant.run("verify")
        assert (found["missing"], found["fixed"]) == (1, False)


def test_a_backup_of_sql_that_is_older_than_the_index_wins(plant: Plant, tmp_path: Path) -> None:
    plant.stop()
    database = plant.settings.data_dir / "lookalike.sqlite"
    backup = shutil.copy(database, tmp_path / "backup.sqlite")
    plant.start()
    for price in (2.0, 3.0):
        plant.save("red", price=price)
        plant.run("index")
    plant.save("new", picture("black"), price=5.0)
    plant.run("index")
    assert plant.prices()[1] == 3.0
    plant.stop()
    shutil.copy(backup, database)
    plant.start()
    found = heal(plant)
    assert (found["stale"], found["stray"]) == (1, 1)
    assert plant.prices() == {1: 1.0, 2: 1.0, 3: 1.0, 4: 1.0}


def test_healing_never_wakes_the_quarantine(plant: Plant) -> None:
    id_ = plant.save("bad", b"no image")
    plant.run("index")
    asleep = entry(plant.services.db, id_)
    vector = np.ones(plant.index.size, dtype=np.float32)
    plant.index.upsert([Point(id=id_, vector=vector, payload={}, claim=1)])
    assert heal(plant)["stray"] == 1
    awake = entry(plant.services.db, id_)
    assert (awake.claim, awake.failures, awake.due_at) == (asleep.claim, asleep.failures, None)


# --- after a death ---------------------------------------------------------------------------


def test_what_a_killed_owner_held_is_free_for_the_next(plant: Plant) -> None:
    plant.save("red", price=2.0)
    plant.save("new", picture("black"))
    hour = timedelta(hours=1)
    for stage in Stage:
        plant.services.db.write(
            lambda session, stage=stage: queue.claim(session, 1, stage, limit=9, lease=hour)
        )
    killed = jobs.write(plant.services.db, "index")
    plant.execute(update(Job).where(Job.id == killed).values(state=RUNNING, heartbeat_at=utcnow()))
    plant.stop()
    plant.start()
    while plant.worker.work_once():
        pass
    job = jobs.read(plant.services.db, killed)
    assert job
    assert (job.state, job.result) == (DONE, {"indexed": 5, "quarantined": 0})
    assert plant.prices()[1] == 2.0


def test_an_index_job_waits_out_what_may_pass_and_counts_what_does_not(plant: Plant) -> None:
    uri = "https://images.example/s.png"  # no host is allowed
    draft = Draft(sku="far", values={}, image=ImageRef(uri=uri))
    plant.services.db.write(lambda session: products.save(session, [draft], priority=SINGLE))
    plant.save("bad", b"no image")
    assert plant.run("index") == {"indexed": 4, "quarantined": 2}


# --- the loop --------------------------------------------------------------------------------


@pytest.fixture
def loop(plant: Plant) -> Iterator[Plant]:
    """The worker in a thread of its own, that would look again only in a minute."""
    plant.services.settings = plant.settings.model_copy(update={"poll_seconds": 60})
    thread = threading.Thread(target=plant.worker.run)
    thread.start()
    yield plant
    plant.worker.stop()
    thread.join(timeout=20)
    assert not thread.is_alive()


def test_the_bell_wakes_a_worker_at_once(loop: Plant) -> None:
    loop.save("red", price=2.0)
    loop.worker.wake_up.set()
    eventually(lambda: loop.prices()[1] == 2.0)


def test_a_worker_finds_what_nobody_rang_for(plant: Plant) -> None:
    thread = threading.Thread(target=plant.worker.run)
    thread.start()
    plant.save("red", price=2.0)
    eventually(lambda: plant.prices()[1] == 2.0)
    plant.worker.stop()
    thread.join(timeout=20)


def test_a_stopped_worker_leaves_its_job_to_the_next(plant: Plant) -> None:
    lease = timedelta(hours=1)
    plant.save("red", price=2.0)
    plant.services.db.write(
        lambda session: queue.claim(session, 1, Stage.APPLY, limit=9, lease=lease)
    )
    job_id = jobs.write(plant.services.db, "index")
    thread = threading.Thread(target=plant.worker.run)
    thread.start()

    def state() -> str:
        job = jobs.read(plant.services.db, job_id)
        assert job
        return job.state

    eventually(lambda: state() == RUNNING)
    plant.worker.stop()
    thread.join(timeout=20)
    assert state() == QUEUED


def test_a_bad_round_is_told_and_survived(loop: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    index = loop.index

    def down(_points: Any) -> None:
        raise IndexUnavailable("out to lunch")

    told: list[str | None] = []  # all of it: the next round, with nothing due, takes it back
    trouble = property(lambda _worker: None, lambda _worker, value: told.append(value))
    monkeypatch.setattr(Worker, "trouble", trouble, raising=False)
    monkeypatch.setattr(index, "upsert", down)
    loop.save("red", price=2.0)
    loop.worker.wake_up.set()
    eventually(lambda: "failed: out to lunch" in told)
    monkeypatch.undo()
    loop.services.db.write(queue.free_leases)
    loop.worker.wake_up.set()
    eventually(lambda: loop.prices()[1] == 2.0)
    eventually(lambda: loop.worker.problem is None)


def test_an_idle_worker_reconciles_now_and_then(plant: Plant) -> None:
    plant.services.settings = plant.settings.model_copy(update={"reconcile_seconds": 0.01})
    plant.index.delete({1: 10})
    thread = threading.Thread(target=plant.worker.run)
    thread.start()
    eventually(lambda: 1 in plant.prices())
    plant.worker.stop()
    thread.join(timeout=20)
