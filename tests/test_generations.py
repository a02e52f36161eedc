"""A generation starts without losing a product, and nobody mixes two encoders."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from rows import entries, make_generation, make_products
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from backend import generations
from backend.catalogue import outbox
from backend.catalogue.database import Database
from backend.catalogue.models import ACTIVE, BUILDING, RETIRED, STANDBY, Generation, Product, utcnow
from backend.errors import ModelMismatch, NoGeneration
from backend.generations import Encoder

ENCODER = Encoder(spec="mean-colour", fingerprint="f", size=3)


def test_the_first_generation_knows_its_encoder_and_every_product(any_db: Database) -> None:
    ids = make_products(any_db, 3)
    first = generations.ensure_first(any_db, ENCODER)
    assert (first.embedder, first.fingerprint, first.size) == ("mean-colour", "f", 3)
    assert (first.state, sorted(entries(any_db))) == (ACTIVE, [(first.id, id_) for id_ in ids])


def test_the_first_generation_is_started_once(any_db: Database) -> None:
    first = generations.ensure_first(any_db, ENCODER)
    assert generations.ensure_first(any_db, ENCODER).id == first.id


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
    monkeypatch.setattr("backend.generations.starting.BACKFILL_CHUNK", 2)
    whole = outbox.backfill
    monkeypatch.setattr(outbox, "backfill", _cut_off_after(1))
    with pytest.raises(KeyboardInterrupt):
        generations.ensure_first(any_db, ENCODER)
    assert len(entries(any_db)) == 2
    monkeypatch.setattr(outbox, "backfill", whole)
    generations.ensure_first(any_db, ENCODER)
    assert sorted(product for _, product in entries(any_db)) == ids


def _cut_off_after(chunks: int) -> Any:
    whole, done = outbox.backfill, []

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
        outbox.request(self.session, [id_], image=True, priority=outbox.SINGLE)

    def remove(self, id_: int) -> None:
        gone = update(Product).where(Product.id == id_).values(removed_at=utcnow())
        self.session.execute(gone)
        outbox.request_removal(self.session, [id_], priority=outbox.SINGLE)

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
    outbox.request_removal(writer.session, [id_], priority=outbox.SINGLE)
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
                outbox.request(session, [product.id], image=True, priority=outbox.SINGLE)

            pg_db.write(put)

    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(write, name) for name in "ab"]
        for _ in range(3):
            new = generations.start(pg_db, ENCODER, state=BUILDING)
            generations.promote(pg_db, new.id, quality=None)
        stop.set()
        for writer in writers:
            writer.result()
    with pg_db.read() as session:
        products = session.scalar(select(func.count()).select_from(Product))
        live = {one.id for one in generations.live(session)}
    assert len(live) == 2
    assert len([1 for generation, _ in entries(pg_db) if generation in live]) == 2 * products
