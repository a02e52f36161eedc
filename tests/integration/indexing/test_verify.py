"""Every kind of drift is found and healed, on the embedded index and on a server's adapter."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from qdrant_client import QdrantClient
from sqlalchemy import delete, select, update
from support.embedded_server import Plant, fill
from support.rows import entry
from support.smuggling import smuggle
from support.stages import LIMITS, Floor, picture

from backend import generations, indexing, jobs
from backend.database.engine import Database
from backend.database.models import (
    BUILDING,
    RETIRED,
    STANDBY,
    Generation,
    ImageVector,
    IndexEntry,
    utcnow,
)
from backend.errors import IndexGone
from backend.images.decoder_pool import DecoderPool
from backend.indexing import Drift, verify
from backend.jobs import FAILED
from backend.settings import Settings
from backend.vectors import Point, VectorIndex
from backend.vectors.edge.index import EdgeIndex
from backend.vectors.server import collection
from backend.vectors.server.index import ServerIndex

pytestmark = [  # what local mode warns of: it has neither payload indexes nor search parameters
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact:UserWarning"),
]

SIZE = 13
ELSEWHERE = np.eye(SIZE, dtype=np.float32)[0]


@pytest.fixture(scope="module")
def decoders() -> Iterator[DecoderPool]:
    with DecoderPool(1, limits=LIMITS) as pool:
        yield pool


@pytest.fixture(params=["edge", "local"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VectorIndex]:
    schema = indexing.schema()
    made: VectorIndex
    if request.param == "edge":
        made = EdgeIndex(tmp_path / "index", size=SIZE, schema=schema)
    else:
        made = ServerIndex("x", size=SIZE, schema=schema, connect=lambda: QdrantClient(":memory:"))
    yield made
    made.close()


@pytest.fixture
def floor(db: Database, tmp_path: Path, decoders: DecoderPool, index: VectorIndex) -> Floor:
    """Three indexed products, whose images nobody may open any more."""
    floor = Floor(db, tmp_path, decoders, index)
    for colour in ("red", "green", "blue"):
        floor.save(colour, picture(colour), price=1.0, attributes={"cut": ["slim", None, 2.5]})
    floor.work()
    floor.pictures.opened.clear()
    return floor


def look(floor: Floor, *, fix: bool = False) -> Drift:
    return indexing.reconcile(floor.db, floor.generation, floor.index, fix=fix, full=True)


def heal(floor: Floor) -> Drift:
    """Heal, and show that this was all: nothing differs any more, nothing was opened."""
    drift = look(floor, fix=True)
    floor.work()
    assert look(floor).total == 0
    assert floor.progress().at_rest
    assert floor.pictures.opened == []
    assert floor.index.count() == floor.progress().indexed
    return drift


def as_it_is(floor: Floor, id_: int, **changes: Any) -> Point:
    """A point as it is stored, but for some part of it."""
    [record] = floor.index.records([id_], vectors=True)
    parts = {"vector": record.vector, "payload": record.payload, "claim": record.claim}
    return Point(id=id_, **{**parts, **changes})


def replace(floor: Floor, point: Point) -> None:
    """Put a point into the store as somebody else would: whatever was there."""
    smuggle(floor.index, point.id, point.vector, {**point.payload, "claim": point.claim})


# --- each kind -------------------------------------------------------------------------------


def test_a_sound_index_has_no_drift_and_every_vector_was_compared(floor: Floor) -> None:
    drift = heal(floor)
    assert (drift.checked, drift.compared, drift.total) == (3, 3, 0)


def test_an_emptied_index_is_filled_again(floor: Floor) -> None:
    floor.index.delete({1: 99, 2: 99, 3: 99})
    assert heal(floor).missing_point == [1, 2, 3]


def test_a_payload_that_somebody_changed_in_the_index_is_written_again(floor: Floor) -> None:
    floor.index.set_payload(2, {"price": 99.0})
    assert heal(floor).different_payload == [2]
    assert floor.payload(2)["price"] == 1.0


def test_a_vector_that_is_another_one_is_written_again(floor: Floor) -> None:
    before = floor.index.vector(2)
    replace(floor, as_it_is(floor, 2, vector=ELSEWHERE))
    assert heal(floor).different_vector == [2]
    np.testing.assert_allclose(floor.index.vector(2), before, atol=1e-6)


def test_a_vector_that_was_rounded_otherwise_counts_as_equal(floor: Floor) -> None:
    vector = floor.index.vector(2)
    assert vector is not None
    replace(floor, as_it_is(floor, 2, vector=vector + np.float32(1e-3)))
    assert look(floor).total == 0


def test_points_without_a_claim_or_a_vector_are_deleted_and_ours_come_back(floor: Floor) -> None:
    visitor = uuid4()
    smuggle(floor.index, visitor, ELSEWHERE, {"price": 3.0})
    smuggle(floor.index, 10**9, ELSEWHERE, {})
    smuggle(floor.index, 1, ELSEWHERE, {"price": 3.0})
    smuggle(floor.index, 2, None, {"claim": entry(floor.db, 2).indexed_claim})
    drift = heal(floor)
    assert set(drift.point_without_claim) == {str(visitor), str(10**9), "1", "2"}
    assert drift.unexpected_point == []


def test_ids_that_sql_does_not_know_are_deleted(floor: Floor) -> None:
    for id_ in (77, 10**12):
        replace(floor, Point(id=id_, vector=ELSEWHERE, payload={}, claim=1))
    assert heal(floor).unexpected_point == [77, 10**12]


def test_a_vector_that_sql_has_lost_is_taken_from_its_point(floor: Floor) -> None:
    with floor.db.read() as session:
        before = session.scalars(select(ImageVector.vector)).all()
    floor.db.write(lambda session: session.execute(delete(ImageVector)))
    assert heal(floor).vector_not_in_sql == [1, 2, 3]
    with floor.db.read() as session:
        after = session.scalars(select(ImageVector.vector)).all()
    for old, new in zip(sorted(before), sorted(after), strict=True):
        one, other = (np.frombuffer(it, "<f2").astype(np.float32) for it in (old, new))
        np.testing.assert_allclose(one, other, atol=1e-3)


# --- backups ---------------------------------------------------------------------------------


def test_an_index_that_was_restored_from_an_older_backup_is_brought_up_to_date(
    floor: Floor,
) -> None:
    backup = [as_it_is(floor, id_) for id_ in (1, 2, 3)]
    floor.save("red", price=2.0)
    floor.save("new", picture("white"), price=5.0)
    floor.remove("blue")
    floor.work()
    floor.pictures.opened.clear()
    floor.index.delete({1: 99, 2: 99, 4: 99})
    for point in backup:
        replace(floor, point)
    drift = heal(floor)
    assert (drift.other_claim, drift.missing_point, drift.unexpected_point) == ([1], [4], [3])
    assert floor.payload(1)["price"] == 2.0


def test_an_index_from_another_future_with_the_same_claims_is_told_by_its_payload(
    floor: Floor,
) -> None:
    """SQL was restored, went on, and gave out the same claims and ids for other products."""
    now = as_it_is(floor, 3)
    replace(floor, as_it_is(floor, 3, vector=ELSEWHERE, payload={**now.payload, "sku": "other"}))
    drift = heal(floor)
    assert (drift.different_payload, drift.different_vector) == ([3], [3])
    assert floor.payload(3)["sku"] == "blue"


# --- the quarantine --------------------------------------------------------------------------


@pytest.fixture
def asleep(floor: Floor) -> Floor:
    """The first product's new image is none: it is quarantined, with its last good vector."""
    floor.save("red", b"no image")
    floor.work()
    assert list(floor.quarantine()) == ["red"]
    floor.pictures.opened.clear()
    return floor


def sleeps(floor: Floor) -> bool:
    row = entry(floor.db, 1)
    return row.due_at is None and row.last_error is not None and not floor.pictures.opened


def test_what_is_quarantined_gets_its_last_good_point_back_and_sleeps_on(asleep: Floor) -> None:
    asleep.index.set_payload(1, {"price": 99.0})
    assert look(asleep, fix=True).different_payload == [1]
    asleep.work()
    assert sleeps(asleep)
    assert asleep.payload(1)["price"] == 1.0


def test_what_is_quarantined_without_any_vector_left_is_never_woken(asleep: Floor) -> None:
    asleep.db.write(lambda session: session.execute(delete(ImageVector)))
    asleep.index.delete({1: 99})
    drift = look(asleep, fix=True)
    assert (drift.missing_point, drift.vector_not_in_sql) == ([], [2, 3])
    asleep.work()
    assert sleeps(asleep)
    assert look(asleep).total == 0


# --- generations -----------------------------------------------------------------------------


def test_what_a_build_has_not_reached_yet_is_no_drift(floor: Floor) -> None:
    def cut_off(session: Any) -> None:
        session.execute(delete(IndexEntry).where(IndexEntry.product_id > 1))
        values = {"state": BUILDING, "backfilled_to": 2}
        session.execute(update(Generation).values(values))

    floor.db.write(cut_off)
    with floor.db.read() as session:
        floor.generation = session.get_one(Generation, floor.generation.id)
    floor.index.delete({2: 99, 3: 99})
    assert look(floor).no_entry == [2]


@pytest.fixture
def plant(settings: Settings) -> Iterator[Plant]:
    """An embedded server's worker with four indexed products, whose images are gone by now."""
    quick = {"embedder": "mean-colour", "retry_seconds": 0, "poll_seconds": 0.02}
    plant = Plant(settings.model_copy(update=quick))
    fill(plant)
    yield plant
    plant.stop()


def test_every_live_generation_is_verified(plant: Plant) -> None:
    services = plant.services
    with services.db.read() as session:
        first = generations.active(session)
    encoder = generations.EmbedderIdentity(
        spec=first.embedder, fingerprint=first.fingerprint, size=first.size
    )
    second = generations.start(services.db, encoder, state=STANDBY)
    while plant.worker.work_once():
        pass
    services.indexes.of(second).delete({1: 99})
    plant.index.set_payload(2, {"price": 9.0})
    found = plant.run("verify", fix=True, full=True)
    kinds = {
        one["state"]: {kind: one[kind] for kind in ("missing", "altered")}
        for one in found["generations"]
    }
    assert kinds == {
        "active": {"missing": 0, "altered": 1},
        "standby": {"missing": 1, "altered": 0},
    }
    while plant.worker.work_once():
        pass
    assert services.indexes.of(second).count() == 4
    assert plant.run("verify", full=True)["drift"] == 0


# --- taken away under a running server -------------------------------------------------------


def wipe_folder(plant: Plant) -> None:
    shutil.rmtree(plant.settings.index_dir)


def empty_folder(plant: Plant) -> None:
    for inside in plant.settings.index_dir.glob("*/*"):
        shutil.rmtree(inside) if inside.is_dir() else inside.unlink()


@pytest.mark.parametrize("wipe", [wipe_folder, empty_folder])
def test_a_folder_that_is_wiped_under_a_running_server_is_filled_again(
    plant: Plant, wipe: Callable[[Plant], None]
) -> None:
    wipe(plant)
    job_id = jobs.write(plant.services.db, "verify", {})
    assert plant.worker.handlers.run_next()
    job = jobs.read(plant.services.db, job_id)
    assert job
    assert (job.state, "verify --fix" in (job.error or "")) == (FAILED, True)
    assert heal_plant(plant)["missing"] == 4
    assert plant.prices() == {1: 1.0, 2: 1.0, 3: 1.0, 4: 1.0}


def test_a_write_that_finds_its_folder_gone_has_all_of_it_filled_again(plant: Plant) -> None:
    wipe_folder(plant)
    plant.save("red", price=2.0)
    with pytest.raises(IndexGone):
        plant.worker.work_once()
    assert plant.prices() == {}
    plant.execute(update(IndexEntry).where(IndexEntry.due_at.is_not(None)).values(due_at=utcnow()))
    while plant.worker.work_once():
        pass
    assert plant.prices() == {1: 2.0, 2: 1.0, 3: 1.0, 4: 1.0}


def test_an_index_that_is_gone_with_its_generation_stays_away(plant: Plant) -> None:
    with plant.services.db.read() as session:
        generation = generations.active(session)
    plant.execute(update(Generation).values(state=RETIRED))
    wipe_folder(plant)
    services = plant.services
    verify.refill(
        services.db,
        generation,
        index_of=services.indexes.of,
        close_index=services.indexes.close,
    )
    assert not plant.settings.index_dir.exists()


def heal_plant(plant: Plant) -> Any:
    """Let `verify --fix` heal, show that it did, and return what it found."""
    found = plant.run("verify", fix=True, full=True)
    assert plant.run("verify", full=True)["drift"] == 0
    assert plant.worker.progress().at_rest
    return found


@pytest.fixture
def distant(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Plant]:
    """The same with a Qdrant server's adapter, on local mode in a folder."""

    def connector(*_args: Any, **_options: Any) -> Callable[[], QdrantClient]:
        return lambda: QdrantClient(path=str(tmp_path / "qdrant"))

    monkeypatch.setattr(collection, "connector", connector)
    quick = {
        "embedder": "mean-colour",
        "retry_seconds": 0,
        "poll_seconds": 0.02,
        "qdrant_url": "http://qdrant.invalid",
    }
    plant = Plant(settings.model_copy(update=quick))
    fill(plant)
    yield plant
    plant.stop()


def test_a_collection_that_is_dropped_under_a_running_worker_is_filled_again(
    distant: Plant,
) -> None:
    index = distant.index
    assert isinstance(index, ServerIndex)
    index.collection.open().delete_collection(index.collection.name)
    assert heal_plant(distant)["missing"] == 4
    assert distant.prices() == {1: 1.0, 2: 1.0, 3: 1.0, 4: 1.0}
