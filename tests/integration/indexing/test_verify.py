"""Every kind of drift is found and repaired, on the embedded index and on a server's adapter."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from qdrant_client import QdrantClient
from sqlalchemy import delete, select, update
from support.image_files import colour_image
from support.qdrant_wire import LOCAL_MODE_WARNINGS
from support.rows import entry
from support.shop import LIMITS, QUICK, Shop, four_products
from support.smuggling import smuggle

from backend import generations, indexing, jobs
from backend.database.models import (
    BUILDING,
    RETIRED,
    STANDBY,
    Generation,
    ImageVector,
    IndexEntry,
    utcnow,
)
from backend.errors import IndexDamaged, IndexGone, IndexUnavailable
from backend.images.decoder_pool import DecoderPool
from backend.indexing import Drift, verify
from backend.jobs import FAILED
from backend.settings import Settings
from backend.vectors import Point, VectorIndex
from backend.vectors.edge.index import EdgeIndex
from backend.vectors.edge.shard import damage_named
from backend.vectors.server import nodes
from backend.vectors.server.index import ServerIndex
from backend.vectors.server.nodes import Nodes

pytestmark = LOCAL_MODE_WARNINGS

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
        made = ServerIndex(
            "x", size=SIZE, schema=schema, nodes=Nodes.single(lambda: QdrantClient(":memory:"))
        )
    yield made
    made.close()


@pytest.fixture
def shop(settings: Settings, decoders: DecoderPool, index: VectorIndex) -> Iterator[Shop]:
    """Three indexed products, whose images nobody may open any more."""
    quick = {"embedder": "mean-colour?grid=2", "retry_seconds": 0}
    shop = Shop(settings, decoders=decoders, index=index, **quick)
    for colour in ("red", "green", "blue"):
        shop.save(colour, colour_image(colour), price=1.0, attributes={"cut": ["slim", None, 2.5]})
    shop.work()
    shop.images.opened.clear()
    yield shop
    shop.close()


def look(shop: Shop, *, fix: bool = False, generation: Generation | None = None) -> Drift:
    generation = generation or shop.generation
    return indexing.reconcile(shop.db, generation, shop.index, fix=fix, full=True)


def repair(shop: Shop) -> Drift:
    """Heal, and show that this was all: nothing differs any more, nothing was opened."""
    drift = look(shop, fix=True)
    shop.work()
    assert look(shop).total == 0
    assert shop.progress().at_rest
    assert shop.images.opened == []
    assert shop.index.count() == shop.progress().indexed
    return drift


def as_it_is(shop: Shop, id_: int, **changes: Any) -> Point:
    """A point as it is stored, but for some part of it."""
    [record] = shop.index.records([id_], vectors=True)
    parts = {"vector": record.vector, "payload": record.payload, "claim": record.claim}
    return Point(id=id_, **{**parts, **changes})


def replace(shop: Shop, point: Point) -> None:
    """Put a point into the store as somebody else would: whatever was there."""
    smuggle(shop.index, point.id, point.vector, {**point.payload, "claim": point.claim})


# --- each kind -------------------------------------------------------------------------------


def test_a_sound_index_has_no_drift_and_every_vector_was_compared(shop: Shop) -> None:
    drift = repair(shop)
    assert (drift.checked, drift.compared, drift.total) == (3, 3, 0)


def test_an_emptied_index_is_filled_again(shop: Shop) -> None:
    shop.index.delete({1: 99, 2: 99, 3: 99})
    assert repair(shop).missing_point == [1, 2, 3]


def test_a_payload_that_somebody_changed_in_the_index_is_written_again(shop: Shop) -> None:
    shop.index.set_payload(2, {"price": 99.0})
    assert repair(shop).different_payload == [2]
    assert shop.payload(2)["price"] == 1.0


def test_a_vector_that_is_another_one_is_written_again(shop: Shop) -> None:
    before = shop.index.vector(2)
    replace(shop, as_it_is(shop, 2, vector=ELSEWHERE))
    assert repair(shop).different_vector == [2]
    np.testing.assert_allclose(shop.index.vector(2), before, atol=1e-6)


def test_a_vector_that_was_rounded_otherwise_counts_as_equal(shop: Shop) -> None:
    vector = shop.index.vector(2)
    assert vector is not None
    replace(shop, as_it_is(shop, 2, vector=vector + np.float32(1e-3)))
    assert look(shop).total == 0


def test_points_without_a_claim_or_a_vector_are_deleted_and_ours_come_back(shop: Shop) -> None:
    visitor = uuid4()
    smuggle(shop.index, visitor, ELSEWHERE, {"price": 3.0})
    smuggle(shop.index, 10**9, ELSEWHERE, {})
    smuggle(shop.index, 1, ELSEWHERE, {"price": 3.0})
    smuggle(shop.index, 2, None, {"claim": entry(shop.db, 2).indexed_claim})
    drift = repair(shop)
    assert set(drift.point_without_claim) == {str(visitor), str(10**9), "1", "2"}
    assert drift.unexpected_point == []


def test_ids_that_sql_does_not_know_are_deleted(shop: Shop) -> None:
    for id_ in (77, 10**12):
        replace(shop, Point(id=id_, vector=ELSEWHERE, payload={}, claim=1))
    assert repair(shop).unexpected_point == [77, 10**12]


def test_a_vector_that_sql_has_lost_is_taken_from_its_point(shop: Shop) -> None:
    with shop.db.read() as session:
        before = session.scalars(select(ImageVector.vector)).all()
    shop.db.write(lambda session: session.execute(delete(ImageVector)))
    assert repair(shop).vector_not_in_sql == [1, 2, 3]
    with shop.db.read() as session:
        after = session.scalars(select(ImageVector.vector)).all()
    for old, new in zip(sorted(before), sorted(after), strict=True):
        one, other = (np.frombuffer(it, "<f2").astype(np.float32) for it in (old, new))
        np.testing.assert_allclose(one, other, atol=1e-3)


# --- backups ---------------------------------------------------------------------------------


def test_an_index_that_was_restored_from_an_older_backup_is_brought_up_to_date(
    shop: Shop,
) -> None:
    backup = [as_it_is(shop, id_) for id_ in (1, 2, 3)]
    shop.save("red", price=2.0)
    shop.save("new", colour_image("white"), price=5.0)
    shop.remove("blue")
    shop.work()
    shop.images.opened.clear()
    shop.index.delete({1: 99, 2: 99, 4: 99})
    for point in backup:
        replace(shop, point)
    drift = repair(shop)
    assert (drift.other_claim, drift.missing_point, drift.unexpected_point) == ([1], [4], [3])
    assert shop.payload(1)["price"] == 2.0


def test_an_index_from_another_future_with_the_same_claims_is_told_by_its_payload(
    shop: Shop,
) -> None:
    """SQL was restored, went on, and gave out the same claims and ids for other products."""
    now = as_it_is(shop, 3)
    replace(shop, as_it_is(shop, 3, vector=ELSEWHERE, payload={**now.payload, "sku": "other"}))
    drift = repair(shop)
    assert (drift.different_payload, drift.different_vector) == ([3], [3])
    assert shop.payload(3)["sku"] == "blue"


# --- the quarantine --------------------------------------------------------------------------


@pytest.fixture
def asleep(shop: Shop) -> Shop:
    """The first product's new image is none: it is quarantined, with its last good vector."""
    shop.save("red", b"no image")
    shop.work()
    assert list(shop.quarantine()) == ["red"]
    shop.images.opened.clear()
    return shop


def sleeps(shop: Shop) -> bool:
    row = entry(shop.db, 1)
    return row.due_at is None and row.last_error is not None and not shop.images.opened


def test_what_is_quarantined_gets_its_last_good_point_back_and_sleeps_on(asleep: Shop) -> None:
    asleep.index.set_payload(1, {"price": 99.0})
    assert look(asleep, fix=True).different_payload == [1]
    asleep.work()
    assert sleeps(asleep)
    assert asleep.payload(1)["price"] == 1.0


def test_what_is_quarantined_without_any_vector_left_is_never_woken(asleep: Shop) -> None:
    asleep.db.write(lambda session: session.execute(delete(ImageVector)))
    asleep.index.delete({1: 99})
    drift = look(asleep, fix=True)
    assert (drift.missing_point, drift.vector_not_in_sql) == ([], [2, 3])
    asleep.work()
    assert sleeps(asleep)
    assert look(asleep).total == 0


# --- generations -----------------------------------------------------------------------------


def test_what_a_build_has_not_reached_yet_is_no_drift(shop: Shop) -> None:
    def cut_off(session: Any) -> None:
        session.execute(delete(IndexEntry).where(IndexEntry.product_id > 1))
        values = {"state": BUILDING, "backfilled_to": 2}
        session.execute(update(Generation).values(values))

    shop.db.write(cut_off)
    shop.index.delete({2: 99, 3: 99})
    assert look(shop, generation=shop.generation_in(BUILDING)).no_entry == [2]


@pytest.fixture
def imageless(settings: Settings) -> Iterator[Shop]:
    """An embedded server's worker with four indexed products, whose images are gone by now."""
    with four_products(Shop(settings, **QUICK)) as found:
        yield found


def test_every_live_generation_is_verified(imageless: Shop) -> None:
    services = imageless.services
    first = imageless.generation
    encoder = generations.EmbedderIdentity(
        spec=first.embedder, fingerprint=first.fingerprint, size=first.size
    )
    second = generations.start(services.db, encoder, state=STANDBY)
    imageless.work()
    services.indexes.of(second).delete({1: 99})
    imageless.index.set_payload(2, {"price": 9.0})
    found = imageless.run("verify", fix=True, full=True)
    kinds = {
        one["state"]: {kind: one[kind] for kind in ("missing", "altered")}
        for one in found["generations"]
    }
    assert kinds == {
        "active": {"missing": 0, "altered": 1},
        "standby": {"missing": 1, "altered": 0},
    }
    imageless.work()
    assert services.indexes.of(second).count() == 4
    assert imageless.run("verify", full=True)["drift"] == 0


# --- taken away under a running server -------------------------------------------------------


def wipe_folder(imageless: Shop) -> None:
    shutil.rmtree(imageless.settings.index_dir)


def empty_folder(imageless: Shop) -> None:
    for inside in imageless.settings.index_dir.glob("*/*"):
        shutil.rmtree(inside) if inside.is_dir() else inside.unlink()


@pytest.mark.parametrize("wipe", [wipe_folder, empty_folder])
def test_a_folder_that_is_wiped_under_a_running_server_is_filled_again(
    imageless: Shop, wipe: Callable[[Shop], None]
) -> None:
    wipe(imageless)
    job = imageless.follow(jobs.write(imageless.db, "verify", {}))
    assert (job.state, "verify --fix" in (job.error or "")) == (FAILED, True)
    assert imageless.repair(full=True)["missing"] == 4
    assert imageless.prices() == {1: 1.0, 2: 1.0, 3: 1.0, 4: 1.0}


def test_a_write_that_finds_its_folder_gone_has_all_of_it_filled_again(imageless: Shop) -> None:
    wipe_folder(imageless)
    imageless.save("red", price=2.0)
    with pytest.raises(IndexGone):
        imageless.worker.work_once()
    assert imageless.prices() == {}
    imageless.execute(
        update(IndexEntry).where(IndexEntry.due_at.is_not(None)).values(due_at=utcnow())
    )
    imageless.work()
    assert imageless.prices() == {1: 2.0, 2: 1.0, 3: 1.0, 4: 1.0}


# --- damaged ---------------------------------------------------------------------------------


def cut_off_files_that_the_engine_expects_whole(shard: Path) -> None:
    """The engine panics over these: what it raises then is no Exception."""
    for file in shard.glob("segments/*/payload_index/**/*.dat"):
        os.truncate(file, 0)


def spoil_a_segment(shard: Path) -> None:
    for file in shard.glob("segments/*/segment.json"):
        file.write_bytes(b"\xff" * 50)


def lose_a_file(shard: Path) -> None:
    for file in shard.glob("segments/*/segment.json"):
        file.unlink()


def empty_the_configuration(shard: Path) -> None:
    (shard / "edge_config.json").write_text("")


def spoil_the_state(shard: Path) -> None:
    (shard.parent / "store.json").write_text("{")


DAMAGES = [
    cut_off_files_that_the_engine_expects_whole,
    spoil_a_segment,
    lose_a_file,
    empty_the_configuration,
    spoil_the_state,
]


def shard_of(shop: Shop) -> Path:
    return next(shop.settings.index_dir.glob("*/shard-1"))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_index_is_filled_again_by_the_next_start(
    imageless: Shop, damage: Callable[[Path], None]
) -> None:
    imageless.close()
    damage(shard_of(imageless))
    imageless.start()
    imageless.work()
    assert imageless.prices() == {1: 1.0, 2: 1.0, 3: 1.0, 4: 1.0}
    assert imageless.run("verify", full=True)["drift"] == 0


def test_a_damaged_index_is_named_with_what_repairs_it(imageless: Shop) -> None:
    imageless.close()
    spoil_a_segment(shard_of(imageless))
    with Shop(imageless.settings, recover=False, embedder="mean-colour") as found:
        generation = found.generation
        with pytest.raises(IndexDamaged, match=r"index .* is damaged; `lookalike verify --fix`"):
            found.services.indexes.of(generation).ping()
        assert found.client.get("/v1/products/red/similar").status_code == 503
        indexes = found.services.indexes
        look = partial(
            verify.existing_index, generation, index_of=indexes.of, close_index=indexes.close
        )
        with pytest.raises(IndexDamaged):
            look(fix=False)
        assert look(fix=True).count() == 0
        assert found.repair(full=True)["missing"] == 4


@pytest.mark.parametrize(
    "reason", ["No space left on device (os error 28)", "Too many open files (os error 24)"]
)
def test_what_the_host_lacks_is_no_damage(tmp_path: Path, reason: str) -> None:
    with pytest.raises(IndexUnavailable) as caught, damage_named(tmp_path):
        raise IndexUnavailable(f"the embedded index failed: {reason}")
    assert not isinstance(caught.value, IndexDamaged)


def test_an_index_that_is_gone_with_its_generation_stays_away(imageless: Shop) -> None:
    generation = imageless.generation
    imageless.execute(update(Generation).values(state=RETIRED))
    wipe_folder(imageless)
    services = imageless.services
    verify.refill(
        services.db,
        generation,
        index_of=services.indexes.of,
        close_index=services.indexes.close,
    )
    assert not imageless.settings.index_dir.exists()


@pytest.fixture
def distant(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Shop]:
    """The same with a Qdrant server's adapter, on local mode in a folder."""

    local = Nodes.single(lambda: QdrantClient(path=str(tmp_path / "qdrant")))
    monkeypatch.setattr(nodes, "of_urls", lambda *_args, **_options: local)
    with four_products(Shop(settings, qdrant_url="http://qdrant.invalid", **QUICK)) as found:
        yield found


def test_a_collection_that_is_dropped_under_a_running_worker_is_filled_again(
    distant: Shop,
) -> None:
    index = distant.index
    assert isinstance(index, ServerIndex)
    index.collection.open().delete_collection(index.collection.name)
    assert distant.repair(full=True)["missing"] == 4
    assert distant.prices() == {1: 1.0, 2: 1.0, 3: 1.0, 4: 1.0}
