"""A generation starts without losing a product, and nobody mixes two encoders."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session
from support.rows import arrange, entries, make_generation, make_products

from backend import generations, queue
from backend.catalogue import image_vectors
from backend.database.engine import Database
from backend.database.models import ACTIVE, BUILDING, RETIRED, STANDBY, Generation, Product, utcnow
from backend.embedders import Block
from backend.errors import (
    ModelMismatch,
    NoGeneration,
    ReindexRunning,
    UnknownGeneration,
    WrongState,
)
from backend.generations import EmbedderIdentity
from backend.queue import backfill as backfilling
from backend.reindex import cleanup

ENCODER = EmbedderIdentity(spec="mean-colour", fingerprint="f", size=3)


def test_the_first_generation_knows_its_encoder_and_every_product(any_db: Database) -> None:
    ids = make_products(any_db, 3)
    first = generations.ensure_first(any_db, ENCODER)
    assert (first.embedder, first.fingerprint, first.size) == ("mean-colour", "f", 3)
    assert (first.state, sorted(entries(any_db))) == (ACTIVE, [(first.id, id_) for id_ in ids])


def test_the_first_generation_is_started_once(any_db: Database) -> None:
    first = generations.ensure_first(any_db, ENCODER)
    assert generations.ensure_first(any_db, ENCODER).id == first.id


BLOCKS = (Block("look", 0, 2), Block("colour", 2, 3))


def read_blocks(db: Database, generation: Generation) -> object:
    with db.read() as session:
        return generations.blocks_of(generations.by_id(session, generation.id))


def test_a_generation_knows_the_blocks_of_its_vectors(any_db: Database) -> None:
    first = generations.ensure_first(any_db, replace(ENCODER, blocks=BLOCKS))
    assert read_blocks(any_db, first) == BLOCKS


def test_a_generation_without_blocks_differs_from_one_whose_blocks_are_unknown(
    any_db: Database,
) -> None:
    first = generations.ensure_first(any_db, ENCODER)  # as an earlier release began it
    assert read_blocks(any_db, first) is None
    other = replace(ENCODER, fingerprint="another", blocks=BLOCKS)
    assert read_blocks(any_db, generations.ensure_first(any_db, other)) is None
    generations.ensure_first(any_db, replace(ENCODER, blocks=()))
    assert read_blocks(any_db, first) == ()
    generations.store_blocks(any_db, first, BLOCKS)  # was read before: what is noted stays
    assert read_blocks(any_db, first) == ()


def test_two_processes_that_start_at_once_share_the_first_generation(any_db: Database) -> None:
    make_products(any_db, 3)
    barrier = threading.Barrier(4)

    def start() -> int:
        barrier.wait()
        return generations.start(any_db, ENCODER, state=ACTIVE).id

    with ThreadPoolExecutor(4) as pool:
        found = {future.result() for future in [pool.submit(start) for _ in range(4)]}
    with any_db.read() as session:
        assert found == set(session.scalars(select(Generation.id)))
    assert len(found) == 1


def test_a_backfill_that_was_cut_off_goes_on(
    any_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = make_products(any_db, 5)
    monkeypatch.setattr("backend.generations.states.BACKFILL_CHUNK", 2)
    whole = backfilling.backfill
    monkeypatch.setattr(backfilling, "backfill", _cut_off_after(1))
    with pytest.raises(KeyboardInterrupt):
        generations.ensure_first(any_db, ENCODER)
    assert len(entries(any_db)) == 2
    monkeypatch.setattr(backfilling, "backfill", whole)
    generations.ensure_first(any_db, ENCODER)
    assert sorted(product for _, product in entries(any_db)) == ids


def _cut_off_after(chunks: int) -> Any:
    whole, done = backfilling.backfill, []

    def backfill(*args: Any, **options: Any) -> int | None:
        if len(done) == chunks:
            raise KeyboardInterrupt
        done.append(1)
        return whole(*args, **options)

    return backfill


def test_the_active_generation_comes_first_among_the_live_ones(any_db: Database) -> None:
    for number, state in enumerate((STANDBY, RETIRED, BUILDING, ACTIVE)):
        make_generation(any_db, state=state, name=f"g{number}")
    with any_db.read() as session:
        live = generations.live(session)
        assert [one.state for one in live] == [ACTIVE, STANDBY, BUILDING]
        assert generations.active(session).state == ACTIVE


def test_without_a_generation_nothing_can_be_asked(db: Database) -> None:
    with db.read() as session:
        assert generations.active_or_none(session) is None
        with pytest.raises(NoGeneration):
            generations.active(session)


def test_another_encoder_is_refused(db: Database) -> None:
    generation = generations.ensure_first(db, ENCODER)
    generations.check_fingerprint(generation, "f")
    with pytest.raises(ModelMismatch, match="mean-colour"):
        generations.check_fingerprint(generation, "another")


# --- switching and clearing away -------------------------------------------------------------


def states(db: Database) -> dict[int, str]:
    with db.read() as session:
        return {row.id: row.state for row in session.scalars(select(Generation))}


def test_a_promotion_makes_one_standby_and_retires_the_one_before(any_db: Database) -> None:
    for _ in range(2):
        generations.ensure_first(any_db, ENCODER)
        new = generations.start(any_db, ENCODER, state=BUILDING)
        assert generations.activate(any_db, new.id, quality={"n": new.id}).quality == {"n": new.id}
    assert states(any_db) == {1: RETIRED, 2: STANDBY, 3: ACTIVE}
    with any_db.read() as session:
        assert session.get_one(Generation, 1).retired_at is not None
        assert session.get_one(Generation, 2).retired_at is None


def test_a_rollback_swaps_two_generations_and_nothing_else(any_db: Database) -> None:
    generations.ensure_first(any_db, ENCODER)
    second = generations.start(any_db, ENCODER, state=BUILDING)
    generations.activate(any_db, second.id, quality=None)
    generations.start(any_db, ENCODER, state=BUILDING)
    generations.reactivate(any_db, 1, configured="mean-colour")
    assert states(any_db) == {1: ACTIVE, 2: STANDBY, 3: BUILDING}
    with pytest.raises(WrongState):
        generations.reactivate(any_db, 1, configured="mean-colour")


def test_two_promotions_at_once_leave_one_active_generation(any_db: Database) -> None:
    generations.ensure_first(any_db, ENCODER)
    new = generations.start(any_db, ENCODER, state=BUILDING)
    barrier = threading.Barrier(2)

    def promote() -> str:
        barrier.wait()
        try:
            return generations.activate(any_db, new.id, quality=None).state
        except WrongState:
            return "refused"

    with ThreadPoolExecutor(2) as pool:
        found = sorted(future.result() for future in [pool.submit(promote) for _ in range(2)])
    assert found == [ACTIVE, "refused"]
    assert states(any_db) == {1: STANDBY, 2: ACTIVE}


def test_a_second_building_generation_is_refused_by_whoever_is_second(any_db: Database) -> None:
    generations.ensure_first(any_db, ENCODER)
    barrier = threading.Barrier(3)

    def start() -> int | None:
        barrier.wait()
        try:
            return generations.start(any_db, ENCODER, state=BUILDING).id
        except ReindexRunning:
            return None

    with ThreadPoolExecutor(3) as pool:
        found = [future.result() for future in [pool.submit(start) for _ in range(3)]]
    assert found.count(None) == 2


def test_the_active_generation_cannot_be_dropped_and_an_unknown_one_is_named(
    any_db: Database,
) -> None:
    generations.ensure_first(any_db, ENCODER)
    with pytest.raises(WrongState, match="generation 1 is the active one"):
        generations.drop(any_db, 1)
    with pytest.raises(UnknownGeneration, match="7"):
        generations.drop(any_db, 7)


def test_a_standby_retires_after_its_keep_time_and_not_before(any_db: Database) -> None:
    generations.ensure_first(any_db, ENCODER)
    new = generations.start(any_db, ENCODER, state=BUILDING)
    generations.activate(any_db, new.id, quality=None)
    hour = timedelta(hours=1)
    assert generations.retire_expired(any_db, keep=hour) is None
    assert generations.retire_expired(any_db, keep=timedelta()) is not None
    assert states(any_db) == {1: RETIRED, 2: ACTIVE}


def test_what_a_retired_generation_left_goes_step_by_step_and_nothing_else(
    any_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.reindex.cleanup.ENTRIES_PER_STEP", 2)
    make_products(any_db, 5)
    other = EmbedderIdentity(spec="mean-colour", fingerprint="g", size=3)
    vector = np.ones(3, np.float32)
    digests = {f"{number:064x}": vector for number in (0, 2**255, 2**256 - 1)}
    for fingerprint in "fg":
        any_db.write(lambda s, f=fingerprint: image_vectors.store(s, f, digests))
    generations.ensure_first(any_db, ENCODER)
    generations.activate(any_db, generations.start(any_db, other, state=BUILDING).id, quality=None)
    generations.drop(any_db, 1)
    dropped: list[str] = []
    early = cleanup.delete_leftovers(
        any_db, after=timedelta(minutes=5), drop_index=lambda one: dropped.append(one.collection)
    )
    assert (early, dropped) == (False, [])
    steps = 0
    while cleanup.delete_leftovers(
        any_db, after=timedelta(), drop_index=lambda one: dropped.append(one.collection), seconds=0
    ):
        steps += 1
    assert len(set(dropped)) == 1
    assert steps >= 3  # five entries by two, then vectors in three distant parts
    assert {generation for generation, _ in entries(any_db)} == {2}
    with any_db.read() as session:
        assert image_vectors.known(session, "f", digests) == set()
        assert image_vectors.known(session, "g", digests) == set(digests)
        assert session.get_one(Generation, 1).dropped_at is not None


def test_entries_take_over_what_the_same_embedder_knows(any_db: Database) -> None:
    known, unknown, given_up, kept = make_products(any_db, 4)
    values = {known: "d-known", unknown: "d-unknown", given_up: "d-bad", kept: "d-worse"}

    def prepare(session: Session) -> None:
        for id_, digest in values.items():
            session.get_one(Product, id_).image_digest = digest
        image_vectors.store(session, "f", {"d-known": np.ones(3, np.float32)})

    any_db.write(prepare)
    generations.ensure_first(any_db, ENCODER)
    rest = {"due_at": None, "last_error": "corrupt-image: x", "failures": 1}
    arrange(any_db, [given_up], **rest)
    arrange(any_db, [kept], **rest, embedded_digest="d-before", embedded=1, indexed=1)
    new = generations.start(any_db, ENCODER, state=BUILDING)
    found = {id_: entries(any_db)[new.id, id_] for id_ in values}
    assert (found[known].embedded, found[known].embedded_digest) == (1, "d-known")
    assert (found[unknown].embedded, found[unknown].embedded_digest) == (0, None)
    assert (found[given_up].due_at, found[given_up].last_error) == (None, "corrupt-image: x")
    assert (found[kept].embedded, found[kept].embedded_digest) == (1, "d-before")
    assert (found[kept].last_error, found[kept].due_at is None) == ("corrupt-image: x", False)
    other = EmbedderIdentity(spec="mean-colour", fingerprint="g", size=3)
    generations.drop(any_db, new.id)
    another = generations.start(any_db, other, state=BUILDING)
    assert all(entries(any_db)[another.id, id_].embedded == 0 for id_ in values)


# --- a start that races with writers, on a real PostgreSQL -----------------------------------


class Writer:
    """A connection that writes and holds its transaction open until it is told to commit."""

    def __init__(self, db: Database) -> None:
        self.session = Session(db.engine)

    def put(self, sku: str) -> int:
        product = Product(sku=sku)
        self.session.add(product)
        self.session.flush()
        return product.id

    def request(self, id_: int) -> None:
        queue.request(self.session, [id_], image=True, priority=queue.SINGLE)

    def remove(self, id_: int) -> None:
        gone = update(Product).where(Product.id == id_).values(removed_at=utcnow())
        self.session.execute(gone)
        queue.request_removal(self.session, [id_], priority=queue.SINGLE)

    def commit(self) -> None:
        self.session.commit()
        self.session.close()


def wait_for_a_waiting_lock(db: Database) -> None:
    """Return when some connection waits for an advisory lock."""
    waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    for _ in range(500):
        with db.read() as session:
            if session.scalar(waiting):
                return
        threading.Event().wait(0.01)
    raise AssertionError("nobody waits")


@pytest.fixture
def starting(pg_db: Database) -> Any:
    """Start a second generation in another thread."""
    with ThreadPoolExecutor(1) as pool:
        yield lambda: pool.submit(generations.start, pg_db, ENCODER, state=BUILDING)


def test_a_put_that_a_start_waits_for_is_in_the_new_generation(
    pg_db: Database, starting: Any
) -> None:
    generations.ensure_first(pg_db, ENCODER)
    writer = Writer(pg_db)
    id_ = writer.put("new")
    writer.request(id_)
    new = starting()
    wait_for_a_waiting_lock(pg_db)
    writer.commit()
    assert (new.result().id, id_) in entries(pg_db)


def test_a_put_that_began_before_a_start_and_ends_after_it_is_in_the_new_generation(
    pg_db: Database, starting: Any
) -> None:
    generations.ensure_first(pg_db, ENCODER)
    writer = Writer(pg_db)
    id_ = writer.put("new")
    new = starting().result()
    assert (new.id, id_) not in entries(pg_db)
    writer.request(id_)
    writer.commit()
    assert (new.id, id_) in entries(pg_db)


def test_a_delete_that_a_start_waits_for_reaches_both_generations(
    pg_db: Database, starting: Any
) -> None:
    first = generations.ensure_first(pg_db, ENCODER)
    (id_,) = make_products(pg_db, 1)
    generations.backfill(pg_db, first.id)
    writer = Writer(pg_db)
    writer.remove(id_)
    new = starting()
    wait_for_a_waiting_lock(pg_db)
    writer.commit()
    new.result()
    found = entries(pg_db)
    assert found[first.id, id_].wanted == 2
    assert all(row.embedded == row.wanted for row in found.values())


def test_a_delete_that_began_before_a_start_and_ends_after_it_reaches_both_generations(
    pg_db: Database, starting: Any
) -> None:
    first = generations.ensure_first(pg_db, ENCODER)
    (id_,) = make_products(pg_db, 1)
    generations.backfill(pg_db, first.id)
    writer = Writer(pg_db)
    gone = update(Product).where(Product.id == id_).values(removed_at=utcnow())
    writer.session.execute(gone)
    new = starting().result()  # its backfill still saw the product
    queue.request_removal(writer.session, [id_], priority=queue.SINGLE)
    writer.commit()
    assert [entries(pg_db)[one, id_].wanted for one in (first.id, new.id)] == [2, 2]


def test_no_put_and_no_delete_is_lost_while_generations_start(pg_db: Database) -> None:
    generations.ensure_first(pg_db, ENCODER)
    stop = threading.Event()

    def write(name: str) -> None:
        number = 0
        while not stop.is_set() or number < 5:
            product = Product(sku=f"{name}{number}")
            number += 1

            def put(session: Session, product: Product = product) -> None:
                session.add(product)
                session.flush()
                queue.request(session, [product.id], image=True, priority=queue.SINGLE)

            pg_db.write(put)
            stop.wait(0.005)

    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(write, name) for name in "ab"]
        for _ in range(3):
            new = generations.start(pg_db, ENCODER, state=BUILDING)
            generations.activate(pg_db, new.id, quality=None)
        stop.set()
        for writer in writers:
            writer.result()
    with pg_db.read() as session:
        products = session.scalar(select(func.count()).select_from(Product))
        live = {one.id for one in generations.live(session)}
    assert len(live) == 2
    assert len([1 for generation, _ in entries(pg_db) if generation in live]) == 2 * products
