"""Whatever makes index and SQL differ is found and healed, and no image is opened for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import delete, select
from support.exact_index import ExactIndex
from support.rows import arrange, entry, make_products
from support.stages import LIMITS, Floor, picture

from backend import indexing
from backend.database.engine import Database
from backend.database.models import Cursor, IndexEntry, Product
from backend.images.decoder_pool import DecoderPool
from backend.indexing import Drift, reconciliation
from backend.vectors import Point

COLOURS = ("red", "green", "blue")


@pytest.fixture(scope="module")
def decoders() -> Iterator[DecoderPool]:
    with DecoderPool(1, limits=LIMITS) as pool:
        yield pool


@pytest.fixture
def floor(db: Database, tmp_path: Path, decoders: DecoderPool) -> Floor:
    """Three indexed products, whose images nobody may open any more."""
    floor = Floor(db, tmp_path, decoders, ExactIndex(size=13, schema=indexing.schema()))
    for colour in COLOURS:
        floor.save(colour, picture(colour), price=1.0)
    floor.work()
    floor.pictures.opened.clear()
    return floor


def reconcile(floor: Floor, *, fix: bool = False, **options: Any) -> Drift:
    return indexing.reconcile(floor.db, floor.generation, floor.index, fix=fix, **options)


def heal(floor: Floor) -> Drift:
    """Heal, and show that this was all: nothing differs any more, nothing was opened."""
    drift = reconcile(floor, fix=True)
    floor.work()
    assert reconcile(floor).total == 0
    assert floor.progress().at_rest
    assert floor.pictures.opened == []
    return drift


def point(floor: Floor, id_: int, *, claim: int) -> Point:
    """A point that somebody else wrote."""
    vector = np.ones(floor.embedder.size, dtype=np.float32)
    return Point(id=id_, vector=vector, payload={"price": 99.0}, claim=claim)


def test_what_agrees_is_left_alone(floor: Floor) -> None:
    drift = reconcile(floor, fix=True)
    assert (drift.checked, drift.total) == (3, 0)
    assert floor.apply() == 0


def test_an_emptied_index_is_filled_again_from_sql(floor: Floor) -> None:
    floor.index = ExactIndex(size=13, schema=indexing.schema())
    assert heal(floor).missing_point == [1, 2, 3]
    assert floor.index.count() == 3


def test_a_deleted_point_comes_back(floor: Floor) -> None:
    floor.index.delete({2: 10})
    assert heal(floor).missing_point == [2]
    assert floor.payload(2)["price"] == 1.0


def test_a_point_of_another_claim_is_written_anew(floor: Floor) -> None:
    floor.index.upsert([point(floor, 2, claim=40)])
    drift = heal(floor)
    assert (drift.other_claim, drift.total) == ([2], 1)
    assert floor.payload(2)["price"] == 1.0
    assert entry(floor.db, 2).claim > 40


def test_foreign_points_are_deleted_wherever_they_lie(floor: Floor) -> None:
    floor.db.write(lambda session: session.execute(delete(Product).where(Product.id == 2)))
    strays = [point(floor, 10**12, claim=3), point(floor, 77, claim=1)]
    floor.index.upsert(strays)
    assert heal(floor).unexpected_point == [2, 77, 10**12]
    assert dict(floor.index.claims()).keys() == {1, 3}


def test_the_point_of_a_removed_product_is_deleted(floor: Floor) -> None:
    floor.remove("red")
    floor.work()
    floor.index.upsert([point(floor, 1, claim=2)])
    assert heal(floor).unexpected_point == [1]
    assert floor.index.vector(1) is None


def test_a_product_that_the_queue_does_not_know_is_taken_in(floor: Floor) -> None:
    gone = delete(IndexEntry).where(IndexEntry.product_id == 3)
    floor.db.write(lambda session: session.execute(gone))
    floor.index.delete({3: 10})
    assert heal(floor).no_entry == [3]
    assert floor.index.count() == 3


def test_a_product_and_its_point_that_the_queue_has_forgotten_agree_again(floor: Floor) -> None:
    """The new entry's claims would start below the point's, and be refused by the index."""
    floor.index.upsert([point(floor, 3, claim=40)])
    gone = delete(IndexEntry).where(IndexEntry.product_id == 3)
    floor.db.write(lambda session: session.execute(gone))
    assert heal(floor).no_entry == [3]
    assert floor.payload(3)["price"] == 1.0
    assert entry(floor.db, 3).claim > 40


def test_a_removed_product_that_the_queue_does_not_know_needs_no_entry(floor: Floor) -> None:
    make_products(floor.db, 1, removed_at=floor.generation.created_at)
    assert reconcile(floor, fix=True).total == 0


def test_a_backup_of_sql_that_is_older_than_the_index_wins(floor: Floor) -> None:
    before = {id_: entry(floor.db, id_) for id_ in (1, 2)}
    for price in (2.0, 3.0):
        floor.save("red", price=price)
        floor.save("green", price=price)
        floor.work()
    floor.save("new", picture("white"))
    floor.work()
    floor.pictures.opened.clear()
    with floor.db.read() as session:
        (newest,) = session.scalars(select(Product.id).where(Product.sku == "new"))

    def restore(session: Any) -> None:
        session.execute(delete(Product).where(Product.id == newest))
        for id_, row in before.items():
            session.merge(row)
            session.get_one(Product, id_).price = 1.0

    floor.db.write(restore)
    drift = heal(floor)
    assert (drift.other_claim, drift.unexpected_point) == ([1, 2], [newest])
    assert [floor.payload(id_)["price"] for id_ in (1, 2)] == [1.0, 1.0]


def test_what_is_still_to_be_done_is_left_to_the_queue(floor: Floor) -> None:
    floor.save("red", price=2.0)
    floor.remove("green")
    floor.index.delete({1: 10, 2: 10})
    assert reconcile(floor, fix=True).total == 0
    floor.work()
    assert floor.index.count() == 2


def test_the_quarantine_is_never_woken(floor: Floor) -> None:
    id_ = floor.save("bad", b"no image")
    floor.work()
    floor.pictures.opened.clear()
    floor.index.upsert([point(floor, id_, claim=1)])
    assert heal(floor).unexpected_point == [id_]
    assert list(floor.quarantine()) == ["bad"]


def test_a_product_in_quarantine_gets_the_point_of_its_last_good_image_back(floor: Floor) -> None:
    floor.save("red", b"no image")
    floor.work()
    floor.pictures.opened.clear()
    floor.index.delete({1: 10})
    assert heal(floor).missing_point == [1]
    assert list(floor.quarantine()) == ["red"]


def test_without_fix_drift_is_only_told(floor: Floor) -> None:
    floor.index.delete({1: 10})
    floor.index.upsert([point(floor, 77, claim=1)])
    gone = delete(IndexEntry).where(IndexEntry.product_id == 3)
    floor.db.write(lambda session: session.execute(gone))
    drift = reconcile(floor)
    assert drift.summary() == {
        "checked": 3,
        "compared": 1,
        "drift": 3,
        "missing": 1,
        "stale": 0,
        "altered": 0,
        "moved": 0,
        "stray": 1,
        "foreign": 0,
        "unqueued": 1,
        "lost": 0,
        "examples": {"missing": [1], "stray": [77], "unqueued": [3]},
    }
    assert reconcile(floor).summary() == drift.summary()


def test_a_product_that_comes_back_while_its_stray_point_is_looked_at_keeps_it(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    floor.remove("red")
    floor.work()
    floor.index.upsert([point(floor, 1, claim=2)])
    write = floor.db.write

    def revive(work: Any) -> Any:
        done = write(work)
        monkeypatch.undo()
        floor.save("red", price=5.0)
        floor.work()
        return done

    monkeypatch.setattr(floor.db, "write", revive)
    assert reconcile(floor, fix=True).unexpected_point == [1]
    assert floor.payload(1)["price"] == 5.0


class BusyIndex(ExactIndex):
    """An index that changes as soon as its claims were read."""

    meanwhile: Callable[[], None]

    def claims(self, **options: Any) -> Iterator[tuple[int, int]]:
        yield from list(super().claims(**options))
        self.meanwhile()


def test_what_is_written_between_the_two_looks_is_not_undone(floor: Floor) -> None:
    floor.index = BusyIndex(size=13, schema=indexing.schema())
    floor.index.meanwhile = lambda: None
    heal(floor)

    def write() -> None:
        floor.index.meanwhile = lambda: None
        floor.save("red", price=5.0)
        floor.remove("green")
        floor.save("white", picture("white"))
        floor.work()
        floor.pictures.opened.clear()

    floor.index.meanwhile = write
    heal(floor)
    assert floor.payload(1)["price"] == 5.0
    assert sorted(dict(floor.index.claims())) == [1, 3, 4]


# --- ranges ----------------------------------------------------------------------------------


@pytest.fixture
def ranges_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciliation, "RANGE", 2)


@pytest.mark.usefixtures("ranges_of_two")
def test_a_walk_compares_range_by_range_and_says_how_far_it_is(floor: Floor) -> None:
    seen: list[Sequence[int | None]] = []
    floor.index.delete({1: 10, 3: 10})
    drift = reconcile(floor, report=lambda *progress: seen.append(progress))
    assert drift.missing_point == [1, 3]
    assert seen == [(2, 4), (4, 4)]


@pytest.mark.usefixtures("ranges_of_two")
def test_a_part_of_the_ids_can_be_compared_alone(floor: Floor) -> None:
    floor.index.delete({1: 10, 2: 10, 3: 10})
    assert reconcile(floor, start=2, stop=3).missing_point == [2]


@pytest.mark.usefixtures("ranges_of_two")
def test_slices_follow_each_other_and_begin_anew_at_the_end(floor: Floor) -> None:
    floor.index.delete({1: 10, 3: 10})
    floor.index.upsert([point(floor, 10**9, claim=1)])
    found = []
    for _ in range(3):
        drift = indexing.reconcile_slice(floor.db, floor.generation, floor.index)
        found.append((drift.missing_point, drift.unexpected_point))
        floor.work()
    assert found == [([1], []), ([3], [10**9]), ([], [])]
    with floor.db.read() as session:
        assert session.scalars(select(Cursor.position)).one() == 2
    assert reconcile(floor).total == 0


def test_an_empty_catalogue_is_compared_too(db: Database, tmp_path: Path) -> None:
    index = ExactIndex(size=13, schema=indexing.schema())
    with DecoderPool(1, limits=LIMITS) as decoders:
        floor = Floor(db, tmp_path, decoders, index)
    floor.index.upsert([point(floor, 5, claim=1)])
    assert reconcile(floor, fix=True).unexpected_point == [5]
    drift = indexing.reconcile_slice(floor.db, floor.generation, floor.index)
    assert (drift.checked, drift.total) == (0, 0)


def test_a_row_that_is_at_rest_without_a_point_and_has_none_is_no_drift(floor: Floor) -> None:
    arrange(floor.db, [2], indexed_claim=None)
    floor.index.delete({2: 10})
    assert reconcile(floor).total == 0
