"""Whatever makes index and SQL differ is found and repaired, and no image is opened for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from sqlalchemy import delete, select
from sqlalchemy.orm import Session
from support.exact_index import ExactIndex
from support.image_files import colour_image
from support.rows import arrange, entry, make_products
from support.shop import LIMITS, Shop

from backend import indexing
from backend.database.models import Cursor, IndexEntry, Product
from backend.images.decoder_pool import DecoderPool
from backend.indexing import Drift, reconciliation
from backend.settings import Settings
from backend.vectors import Point

COLOURS = ("red", "green", "blue")
SIZE = 13
SETTINGS = {"embedder": "mean-colour?grid=2", "retry_seconds": 0}


@pytest.fixture(scope="module")
def decoders() -> Iterator[DecoderPool]:
    with DecoderPool(1, limits=LIMITS) as pool:
        yield pool


@pytest.fixture
def shop(settings: Settings, decoders: DecoderPool) -> Iterator[Shop]:
    """Three indexed products, whose images nobody may open any more."""
    shop = Shop(
        settings,
        decoders=decoders,
        index=ExactIndex(size=SIZE, schema=indexing.schema()),
        **SETTINGS,
    )
    for colour in COLOURS:
        shop.save(colour, colour_image(colour), price=1.0)
    shop.work()
    shop.images.opened.clear()
    yield shop
    shop.close()


def reconcile(shop: Shop, *, fix: bool = False, **options: Any) -> Drift:
    return indexing.reconcile(shop.db, shop.generation, shop.index, fix=fix, **options)


def repair(shop: Shop) -> Drift:
    """Heal, and show that this was all: nothing differs any more, nothing was opened."""
    drift = reconcile(shop, fix=True)
    shop.work()
    assert reconcile(shop).total == 0
    assert shop.progress().at_rest
    assert shop.images.opened == []
    return drift


def point(shop: Shop, id_: int, *, claim: int) -> Point:
    """A point that somebody else wrote."""
    vector = np.ones(SIZE, dtype=np.float32)
    return Point(id=id_, vector=vector, payload={"price": 99.0}, claim=claim)


def test_what_agrees_is_left_alone(shop: Shop) -> None:
    drift = reconcile(shop, fix=True)
    assert (drift.checked, drift.total) == (3, 0)
    assert shop.apply() == 0


def test_an_emptied_index_is_filled_again_from_sql(shop: Shop) -> None:
    shop.index = ExactIndex(size=SIZE, schema=indexing.schema())
    assert repair(shop).missing_point == [1, 2, 3]
    assert shop.index.count() == 3


def test_a_deleted_point_comes_back(shop: Shop) -> None:
    shop.index.delete({2: 10})
    assert repair(shop).missing_point == [2]
    assert shop.payload(2)["price"] == 1.0


def test_a_point_of_another_claim_is_written_anew(shop: Shop) -> None:
    shop.index.upsert([point(shop, 2, claim=40)])
    drift = repair(shop)
    assert (drift.other_claim, drift.total) == ([2], 1)
    assert shop.payload(2)["price"] == 1.0
    assert entry(shop.db, 2).claim > 40


def test_foreign_points_are_deleted_wherever_they_lie(shop: Shop) -> None:
    shop.db.write(lambda session: session.execute(delete(Product).where(Product.id == 2)))
    strays = [point(shop, 10**12, claim=3), point(shop, 77, claim=1)]
    shop.index.upsert(strays)
    assert repair(shop).unexpected_point == [2, 77, 10**12]
    assert dict(shop.index.claims()).keys() == {1, 3}


def test_the_point_of_a_removed_product_is_deleted(shop: Shop) -> None:
    shop.remove("red")
    shop.work()
    shop.index.upsert([point(shop, 1, claim=2)])
    assert repair(shop).unexpected_point == [1]
    assert shop.index.vector(1) is None


def test_a_product_that_the_queue_does_not_know_is_taken_in(shop: Shop) -> None:
    gone = delete(IndexEntry).where(IndexEntry.product_id == 3)
    shop.db.write(lambda session: session.execute(gone))
    shop.index.delete({3: 10})
    assert repair(shop).no_entry == [3]
    assert shop.index.count() == 3


def test_a_product_and_its_point_that_the_queue_has_forgotten_agree_again(shop: Shop) -> None:
    """The new entry's claims would start below the point's, and be refused by the index."""
    shop.index.upsert([point(shop, 3, claim=40)])
    gone = delete(IndexEntry).where(IndexEntry.product_id == 3)
    shop.db.write(lambda session: session.execute(gone))
    assert repair(shop).no_entry == [3]
    assert shop.payload(3)["price"] == 1.0
    assert entry(shop.db, 3).claim > 40


def test_a_removed_product_that_the_queue_does_not_know_needs_no_entry(shop: Shop) -> None:
    make_products(shop.db, 1, removed_at=shop.generation.created_at)
    assert reconcile(shop, fix=True).total == 0


def test_a_backup_of_sql_that_is_older_than_the_index_wins(shop: Shop) -> None:
    before = {id_: entry(shop.db, id_) for id_ in (1, 2)}
    for price in (2.0, 3.0):
        shop.save("red", price=price)
        shop.save("green", price=price)
        shop.work()
    shop.save("new", colour_image("white"))
    shop.work()
    shop.images.opened.clear()
    with shop.db.read() as session:
        (newest,) = session.scalars(select(Product.id).where(Product.sku == "new"))

    def restore(session: Any) -> None:
        session.execute(delete(Product).where(Product.id == newest))
        for id_, row in before.items():
            session.merge(row)
            session.get_one(Product, id_).price = 1.0

    shop.db.write(restore)
    drift = repair(shop)
    assert (drift.other_claim, drift.unexpected_point) == ([1, 2], [newest])
    assert [shop.payload(id_)["price"] for id_ in (1, 2)] == [1.0, 1.0]


def test_what_is_still_to_be_done_is_left_to_the_queue(shop: Shop) -> None:
    shop.save("red", price=2.0)
    shop.remove("green")
    shop.index.delete({1: 10, 2: 10})
    assert reconcile(shop, fix=True).total == 0
    shop.work()
    assert shop.index.count() == 2


def test_the_quarantine_is_never_woken(shop: Shop) -> None:
    id_ = shop.save("bad", b"no image")
    shop.work()
    shop.images.opened.clear()
    shop.index.upsert([point(shop, id_, claim=1)])
    assert repair(shop).unexpected_point == [id_]
    assert list(shop.quarantine()) == ["bad"]


def test_a_product_in_quarantine_gets_the_point_of_its_last_good_image_back(shop: Shop) -> None:
    shop.save("red", b"no image")
    shop.work()
    shop.images.opened.clear()
    shop.index.delete({1: 10})
    assert repair(shop).missing_point == [1]
    assert list(shop.quarantine()) == ["red"]


def test_without_fix_drift_is_only_told(shop: Shop) -> None:
    shop.index.delete({1: 10})
    shop.index.upsert([point(shop, 77, claim=1)])
    gone = delete(IndexEntry).where(IndexEntry.product_id == 3)
    shop.db.write(lambda session: session.execute(gone))
    drift = reconcile(shop)
    assert drift.summary() == {
        "checked": 3,
        "waiting": 0,
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
    assert reconcile(shop).summary() == drift.summary()


def test_a_product_that_comes_back_while_its_stray_point_is_looked_at_keeps_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.remove("red")
    shop.work()
    shop.index.upsert([point(shop, 1, claim=2)])
    write = shop.db.write

    def revive(work: Any) -> Any:
        done = write(work)
        monkeypatch.undo()
        shop.save("red", colour_image("red"), price=5.0)
        shop.work()
        return done

    monkeypatch.setattr(shop.db, "write", revive)
    assert reconcile(shop, fix=True).unexpected_point == [1]
    assert shop.payload(1)["price"] == 5.0


class BusyIndex(ExactIndex):
    """An index that changes as soon as its claims were read."""

    meanwhile: Callable[[], None]

    def claims(self, **options: Any) -> Iterator[tuple[int, int]]:
        yield from list(super().claims(**options))
        self.meanwhile()


def test_what_is_written_between_the_two_looks_is_not_undone(shop: Shop) -> None:
    shop.index = BusyIndex(size=SIZE, schema=indexing.schema())
    shop.index.meanwhile = lambda: None
    repair(shop)

    def write() -> None:
        shop.index.meanwhile = lambda: None
        shop.save("red", price=5.0)
        shop.remove("green")
        shop.save("white", colour_image("white"))
        shop.work()
        shop.images.opened.clear()

    shop.index.meanwhile = write
    repair(shop)
    assert shop.payload(1)["price"] == 5.0
    assert sorted(dict(shop.index.claims())) == [1, 3, 4]


# --- ranges ----------------------------------------------------------------------------------


@pytest.fixture
def ranges_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciliation, "RANGE", 2)


@pytest.mark.usefixtures("ranges_of_two")
def test_a_walk_compares_range_by_range_and_says_how_far_it_is(shop: Shop) -> None:
    seen: list[Sequence[int | None]] = []
    shop.index.delete({1: 10, 3: 10})
    drift = reconcile(shop, report=lambda *progress: seen.append(progress))
    assert drift.missing_point == [1, 3]
    assert seen == [(2, 4), (4, 4)]


@pytest.mark.usefixtures("ranges_of_two")
def test_a_part_of_the_ids_can_be_compared_alone(shop: Shop) -> None:
    shop.index.delete({1: 10, 2: 10, 3: 10})
    assert reconcile(shop, start=2, stop=3).missing_point == [2]


@pytest.mark.usefixtures("ranges_of_two")
def test_slices_follow_each_other_and_begin_anew_at_the_end(shop: Shop) -> None:
    shop.index.delete({1: 10, 3: 10})
    shop.index.upsert([point(shop, 10**9, claim=1)])
    found = []
    for _ in range(3):
        drift = indexing.reconcile_slice(shop.db, shop.generation, shop.index)
        found.append((drift.missing_point, drift.unexpected_point))
        shop.work()
    assert found == [([1], []), ([3], [10**9]), ([], [])]
    with shop.db.read() as session:
        assert session.get_one(Cursor, f"reconcile:{shop.generation.id}").position == 2
    assert reconcile(shop).total == 0


@pytest.mark.usefixtures("ranges_of_two")
def test_two_workers_that_begin_at_once_both_store_how_far_they_came(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has seen that there is no cursor; with a merge, the second INSERT failed."""
    original = Session.get

    def sees_none(self: Session, *args: Any, **options: Any) -> Any:
        return None if args[0] is Cursor else original(self, *args, **options)

    monkeypatch.setattr(Session, "get", sees_none)
    for _ in range(2):
        indexing.reconcile_slice(shop.db, shop.generation, shop.index)
    with shop.db.read() as session:
        name = f"reconcile:{shop.generation.id}"
        assert session.scalar(select(Cursor.position).where(Cursor.name == name)) == 2


def test_an_empty_catalogue_is_compared_too(shop: Shop) -> None:
    shop.empty()
    shop.index.upsert([point(shop, 5, claim=1)])
    assert reconcile(shop, fix=True).unexpected_point == [5]
    drift = indexing.reconcile_slice(shop.db, shop.generation, shop.index)
    assert (drift.checked, drift.total) == (0, 0)


def test_a_row_that_is_at_rest_without_a_point_and_has_none_is_no_drift(shop: Shop) -> None:
    arrange(shop.db, [2], indexed_claim=None)
    shop.index.delete({2: 10})
    assert reconcile(shop).total == 0
