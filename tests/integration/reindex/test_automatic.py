"""The adaptation that begins by itself once a catalogue is indexed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session
from support.rows import NOON, arrange, make_generation
from support.shop import QUICK, Shop

from backend import jobs
from backend import reindex as reindexing
from backend.adaptation import FEWEST_PRODUCTS, MOST_PRODUCTS
from backend.database.engine import Database
from backend.database.models import (
    ACTIVE,
    BUILDING,
    RETIRED,
    Cursor,
    Generation,
    IndexEntry,
    Job,
    Product,
)
from backend.errors import ReindexRunning
from backend.reindex import ReindexPlan, request_adaptation, unfinished_adaptation
from backend.reindex.automatic import CURSOR, GROWTH
from backend.settings import Settings


def add_indexed(db: Database, count: int, *, generation: int = 1) -> list[int]:
    """Add products that a generation holds."""
    with db.read() as session:
        before = session.scalar(select(func.max(Product.id))) or 0
    ids = list(range(before + 1, before + count + 1))
    products = [{"id": id_, "sku": f"p{id_}", "attributes": {}} for id_ in ids]
    at_rest = {"wanted": 1, "embedded": 1, "indexed": 1, "indexed_claim": 1}
    at_rest |= {"requested_at": NOON, "due_at": None}
    entries = [{"generation_id": generation, "product_id": id_, **at_rest} for id_ in ids]

    def write(session: Session) -> None:
        session.execute(insert(Product), products)
        session.execute(insert(IndexEntry), entries)

    db.write(write)
    return ids


def embedded_by(db: Database, spec: str) -> None:
    db.write(lambda session: session.execute(update(Generation).values(embedder=spec)))


@pytest.fixture
def indexed(db: Database) -> list[int]:
    """A catalogue that is just large enough, indexed by an embedder that can be adapted."""
    make_generation(db)
    embedded_by(db, "lookalike-blocks")
    return add_indexed(db, FEWEST_PRODUCTS)


def ended(db: Database, job: Job | None) -> None:
    assert job is not None
    db.write(lambda session: session.execute(update(Job).values(state=jobs.DONE)))


def test_a_complete_index_is_adapted_once(db: Database, indexed: list[int]) -> None:
    job = request_adaptation(db)
    assert job is not None
    assert (job.verb, job.arguments["adapt"]) == (reindexing.requests.REINDEX, "only")
    found = unfinished_adaptation(db)
    assert found is not None
    assert found.id == job.id
    ended(db, job)
    assert unfinished_adaptation(db) is None
    assert request_adaptation(db) is None
    add_indexed(db, 10)
    assert request_adaptation(db) is None


def set_position(db: Database, position: int) -> None:
    db.write(lambda session: session.merge(Cursor(name=CURSOR, position=position)))


def test_a_catalogue_that_has_grown_is_adapted_to_again(db: Database, indexed: list[int]) -> None:
    set_position(db, FEWEST_PRODUCTS // GROWTH + 1)
    assert request_adaptation(db) is None
    set_position(db, FEWEST_PRODUCTS // GROWTH)
    embedded_by(db, "lookalike-blocks?adapted=abc")
    assert request_adaptation(db) is not None
    ended(db, unfinished_adaptation(db))
    set_position(db, MOST_PRODUCTS)  # a larger sample is never read
    assert request_adaptation(db) is None


def test_it_waits_for_the_queue(db: Database, indexed: list[int]) -> None:
    later = NOON + timedelta(days=36_500)
    arrange(db, indexed[:1], wanted=2, due_at=later)  # it waits after a failure
    assert request_adaptation(db) is None
    arrange(db, indexed[:1], wanted=1, due_at=None)
    assert request_adaptation(db) is not None


@pytest.mark.parametrize("spec", ["lookalike-fashion", "efficientnet-lite0"])
def test_other_embedders_are_left_alone(db: Database, indexed: list[int], spec: str) -> None:
    embedded_by(db, spec)
    assert request_adaptation(db) is None


def test_a_small_catalogue_and_none_are_left_alone(db: Database) -> None:
    assert request_adaptation(db) is None
    make_generation(db)
    embedded_by(db, "lookalike-blocks")
    add_indexed(db, FEWEST_PRODUCTS - 1)
    assert request_adaptation(db) is None


def test_it_does_not_begin_beside_another_reindex(db: Database, indexed: list[int]) -> None:
    job = reindexing.request(db, ReindexPlan())
    assert request_adaptation(db) is None
    ended(db, job)
    make_generation(db, state=BUILDING, name="g2")
    assert request_adaptation(db) is None


def test_an_operator_takes_its_place(db: Database, indexed: list[int]) -> None:
    automatic = request_adaptation(db)
    assert automatic is not None
    building = make_generation(db, state=BUILDING, name="g2")
    started = update(Job).values(
        state=jobs.RUNNING, arguments={**automatic.arguments, "generation": building}
    )
    db.write(lambda session: session.execute(started))
    wanted = reindexing.request(db, ReindexPlan(adapt="off"))
    with db.read() as session:
        assert session.get_one(Job, automatic.id).cancelled_at is not None
        assert session.get_one(Generation, building).state == RETIRED
    with pytest.raises(ReindexRunning, match=str(wanted.id)):  # that one stays
        reindexing.request(db, ReindexPlan())


def test_the_setting_turns_it_off(settings: Settings) -> None:
    with Shop(settings, **QUICK, adapt="off") as shop:
        embedded_by(shop.db, "lookalike-blocks")
        add_indexed(shop.db, FEWEST_PRODUCTS, generation=shop.generation_in(ACTIVE).id)
        assert not shop.worker.maintenance.adapt_if_due()
        assert unfinished_adaptation(shop.db) is None
        shop.services.settings = shop.settings.model_copy(update={"adapt": "auto"})
        assert shop.worker.maintenance.adapt_if_due()
        assert unfinished_adaptation(shop.db) is not None
