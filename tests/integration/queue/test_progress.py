"""States and counts are derived from the queue's numbers, and add up."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, update
from support.rows import NOON, arrange, make_generation, make_products, request

from backend.database.engine import Database
from backend.database.models import Product
from backend.queue.progress import Progress, State, is_in, next_due, progress, quarantine, states

LATER = NOON + timedelta(minutes=1)


@pytest.fixture
def six(any_db: Database) -> list[int]:
    """Products: unknown to the queue, new, failing, indexed, quarantined, shown as they were."""
    make_generation(any_db)
    ids = make_products(any_db, 6)
    request(any_db, ids[1:])
    arrange(any_db, ids[2:3], last_error="busy", failures=1, due_at=LATER, requested_at=LATER)
    arrange(any_db, ids[3:4], embedded=1, indexed=1, indexed_claim=2, due_at=None)
    arrange(any_db, ids[4:5], last_error="bad", failures=1, due_at=None)
    arrange(any_db, ids[5:], embedded=1, indexed=1, last_error="worse", failures=3, due_at=None)
    return ids


def count(db: Database, generation_id: int | None = 1) -> Progress:
    with db.read() as session:
        return progress(session, generation_id)


def remove(db: Database, ids: list[int]) -> None:
    change = update(Product).where(Product.id.in_(ids)).values(removed_at=NOON)
    db.write(lambda session: session.execute(change))


def test_every_product_is_pending_indexed_or_quarantined(any_db: Database, six: list[int]) -> None:
    counts = count(any_db)
    assert (counts.products, counts.pending, counts.indexed, counts.quarantined) == (6, 3, 1, 2)
    assert not counts.at_rest


def test_the_age_of_the_queue_is_that_of_its_oldest_request(
    any_db: Database, six: list[int]
) -> None:
    assert count(any_db).oldest_request == NOON
    arrange(any_db, six[1:2], due_at=None, indexed=1)
    assert count(any_db).oldest_request == LATER


def test_a_removed_product_is_counted_only_until_its_point_is_deleted(
    any_db: Database, six: list[int]
) -> None:
    remove(any_db, six[:2] + six[3:5])
    counts = count(any_db)
    assert (counts.products, counts.pending, counts.indexed, counts.quarantined) == (2, 1, 0, 1)
    assert counts.removing == 1


def test_the_queue_rests_when_nothing_is_pending_or_to_be_deleted(
    any_db: Database, six: list[int]
) -> None:
    remove(any_db, six[:3])
    assert not count(any_db).at_rest
    arrange(any_db, six[1:3], due_at=None)
    counts = count(any_db)
    assert counts.at_rest
    assert counts.oldest_request is None


def test_without_a_generation_everything_is_pending(any_db: Database, six: list[int]) -> None:
    counts = count(any_db, None)
    assert (counts.products, counts.pending) == (6, 6)


def test_an_empty_catalogue_is_at_rest(any_db: Database) -> None:
    assert count(any_db, None).at_rest


def test_each_product_has_its_state_and_what_keeps_it_from_being_indexed(
    any_db: Database, six: list[int]
) -> None:
    with any_db.read() as session:
        found = states(session, 1, six)
    assert [found[id_] for id_ in six] == [
        (State.PENDING, None),
        (State.PENDING, None),
        (State.PENDING, "busy"),
        (State.INDEXED, None),
        (State.QUARANTINED, "bad"),
        (State.QUARANTINED, "worse"),
    ]


@pytest.mark.parametrize("state", State)
def test_products_can_be_listed_by_state(any_db: Database, six: list[int], state: State) -> None:
    with any_db.read() as session:
        found = states(session, 1, six)
        listed = session.scalars(select(Product.id).where(is_in([state], 1))).all()
    assert sorted(listed) == [id_ for id_ in six if found[id_][0] == state]


def test_the_quarantine_is_listed_page_by_page(any_db: Database, six: list[int]) -> None:
    with any_db.read() as session:
        (first,) = quarantine(session, 1, limit=1)
        (second,) = quarantine(session, 1, after_id=first.product_id)
    assert (first.sku, first.reason, first.failures) == ("s4", "bad", 1)
    assert (second.sku, second.reason, second.failures) == ("s5", "worse", 3)


def test_the_quarantine_lists_no_removed_product(any_db: Database, six: list[int]) -> None:
    remove(any_db, six[4:])
    with any_db.read() as session:
        assert quarantine(session, 1) == []


def test_the_next_moment_when_there_is_work_is_known(any_db: Database, six: list[int]) -> None:
    with any_db.read() as session:
        assert next_due(session, [1]) == NOON
        assert next_due(session, [2]) is None
