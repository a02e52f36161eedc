"""The rules of the queue, each as a sentence, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, event, text
from support.rows import (
    NOON,
    arrange,
    entries,
    entry,
    make_generation,
    make_products,
    numbers,
    request,
)

from backend import queue
from backend.database.engine import Database
from backend.database.models import ACTIVE, BUILDING, RETIRED, STANDBY, Product
from backend.queue import IMPORT, REINDEX, SINGLE, Claimed, Stage, backfill

EMBED, APPLY = Stage.EMBED, Stage.APPLY
LEASE = timedelta(minutes=2)
LATER = NOON + timedelta(minutes=1)
AFTER_LEASE = NOON + timedelta(minutes=3)


@pytest.fixture
def three(any_db: Database) -> list[int]:
    """Three products that were requested at noon, in one generation."""
    make_generation(any_db)
    ids = make_products(any_db, 3)
    request(any_db, ids)
    return ids


def claim(db: Database, stage: Stage = EMBED, **options: Any) -> list[Claimed]:
    options = {"limit": 10, "lease": LEASE, "now": NOON} | options
    return db.write(lambda session: queue.claim(session, 1, stage, **options))


def ids_of(claimed: list[Claimed]) -> list[int]:
    return [row.product_id for row in claimed]


def settle_embedded(db: Database, claimed: list[Claimed], digest: str = "good") -> int:
    done = [(row, digest) for row in claimed]
    return db.write(lambda session: queue.settle_embedded(session, 1, done, now=LATER))


def settle_indexed(db: Database, claimed: list[Claimed], *, point: bool = True) -> int:
    done = [(row, point) for row in claimed]
    return db.write(lambda session: queue.settle_indexed(session, 1, done, now=LATER))


def fail(db: Database, claimed: list[Claimed], *, reason: str = "bad", **options: Any) -> int:
    rows = [(row, reason) for row in claimed]
    return db.write(lambda session: queue.fail(session, 1, rows, **{"now": LATER} | options))


def fail_apply(db: Database, claimed: list[Claimed], **options: Any) -> int:
    rows = [(row, "refused") for row in claimed]
    return db.write(lambda session: queue.fail_apply(session, 1, rows, **{"now": LATER} | options))


def remove(db: Database, ids: list[int]) -> None:
    db.write(lambda session: queue.request_removal(session, ids, priority=SINGLE, now=LATER))


def index_all(db: Database) -> None:
    """Bring everything that is due through both stages."""
    settle_embedded(db, claim(db))
    settle_indexed(db, claim(db, APPLY, now=LATER))


@contextmanager
def statements(db: Database) -> Iterator[list[tuple[str, Any]]]:
    """Collect the statements that are executed meanwhile, with their parameters."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        seen.append((statement, parameters))

    event.listen(db.engine, "before_cursor_execute", note)
    yield seen
    event.remove(db.engine, "before_cursor_execute", note)


# --- request ---------------------------------------------------------------------------------


def test_a_new_product_waits_for_its_image_in_every_live_generation(any_db: Database) -> None:
    for number, state in enumerate((ACTIVE, BUILDING, STANDBY, RETIRED), start=1):
        make_generation(any_db, state=state, name=f"g{number}")
    (id_,) = make_products(any_db, 1)
    request(any_db, [id_])
    assert sorted(entries(any_db)) == [(1, id_), (2, id_), (3, id_)]
    row = entry(any_db, id_)
    assert (numbers(row), row.due_at, row.requested_at) == ((1, 0, 0), NOON, NOON)


def test_a_changed_image_is_due_at_once_with_a_clean_record(
    any_db: Database, three: list[int]
) -> None:
    fail(any_db, claim(any_db))
    request(any_db, three[:1], now=LATER)
    row = entry(any_db, three[0])
    assert (numbers(row), row.due_at, row.failures, row.last_error) == ((2, 0, 0), LATER, 0, None)
    assert entry(any_db, three[1]).last_error == "bad"


def test_a_changed_price_skips_the_embed_stage_where_the_vector_is_current(
    any_db: Database, three: list[int]
) -> None:
    index_all(any_db)
    request(any_db, three, image=False, now=LATER)
    assert claim(any_db, EMBED, now=LATER) == []
    assert ids_of(claim(any_db, APPLY, now=LATER)) == three


@pytest.mark.parametrize("due_at", [AFTER_LEASE, None], ids=["leased", "quarantined"])
def test_a_changed_price_leaves_the_embed_stages_schedule_alone(
    any_db: Database, three: list[int], due_at: Any
) -> None:
    arrange(any_db, three, due_at=due_at, failures=2, last_error="bad")
    request(any_db, three, image=False, now=LATER)
    row = entry(any_db, three[0])
    assert (numbers(row), row.due_at, row.failures) == ((2, 0, 0), due_at, 2)
    assert row.last_error == "bad"


def test_a_removal_needs_no_image_whatever_was_pending(any_db: Database, three: list[int]) -> None:
    fail(any_db, claim(any_db))
    remove(any_db, three)
    row = entry(any_db, three[0])
    assert (numbers(row), row.due_at, row.failures, row.last_error) == ((2, 2, 0), LATER, 0, None)
    assert claim(any_db, EMBED, now=LATER) == []


def test_a_removal_needs_no_image_in_a_generation_that_does_not_know_the_product(
    any_db: Database,
) -> None:
    make_generation(any_db)
    remove(any_db, make_products(any_db, 1))
    assert claim(any_db, EMBED, now=LATER) == []
    assert len(claim(any_db, APPLY, now=LATER)) == 1


def test_a_single_write_overtakes_an_import_and_an_import_does_not_hold_it_back(
    any_db: Database, three: list[int]
) -> None:
    request(any_db, three[:1], priority=SINGLE)
    assert entry(any_db, three[0]).priority == SINGLE
    request(any_db, three, priority=REINDEX)
    assert [entry(any_db, id_).priority for id_ in three] == [SINGLE, IMPORT, IMPORT]


def test_what_is_at_rest_takes_the_priority_of_the_next_request(
    any_db: Database, three: list[int]
) -> None:
    index_all(any_db)
    request(any_db, three, priority=REINDEX)
    assert entry(any_db, three[0]).priority == REINDEX


def test_what_waits_is_as_old_as_the_first_request_it_waits_for(
    any_db: Database, three: list[int]
) -> None:
    request(any_db, three, now=LATER)
    assert entry(any_db, three[0]).requested_at == NOON


@pytest.mark.parametrize("image", [True, False])
def test_what_was_at_rest_waits_since_the_new_request(
    any_db: Database, three: list[int], image: bool
) -> None:
    index_all(any_db)
    request(any_db, three, image=image, now=AFTER_LEASE)
    assert entry(any_db, three[0]).requested_at == AFTER_LEASE


def test_what_was_in_quarantine_waits_since_the_new_request(
    any_db: Database, three: list[int]
) -> None:
    fail(any_db, claim(any_db))
    request(any_db, three, now=AFTER_LEASE)
    assert entry(any_db, three[0]).requested_at == AFTER_LEASE


def test_a_request_takes_as_many_statements_for_a_thousand_products_as_for_one(
    any_db: Database,
) -> None:
    make_generation(any_db)
    make_generation(any_db, state=BUILDING, name="g2")
    ids = make_products(any_db, 1000)
    counts = []
    for some in (ids[:1], ids):
        with statements(any_db) as seen:
            request(any_db, some)
        counts.append(len(seen))
    assert counts[0] == counts[1]
    assert len(entries(any_db)) == 2000


def test_a_request_for_nothing_asks_the_database_nothing(any_db: Database) -> None:
    make_generation(any_db)
    with any_db.read() as session, statements(any_db) as seen:
        queue.request(session, [], image=True, priority=IMPORT)
        queue.request_removal(session, [], priority=IMPORT)
    assert seen == []


# --- claim -----------------------------------------------------------------------------------


def test_a_claim_raises_its_number_and_the_failures_and_moves_the_row_behind_a_lease(
    any_db: Database, three: list[int]
) -> None:
    claimed = claim(any_db)
    assert claimed == [Claimed(id_, 1, 1, 1, None) for id_ in three]
    row = entry(any_db, three[0])
    assert (row.claim, row.failures, row.due_at) == (1, 1, NOON + LEASE)


def test_a_claim_takes_the_most_urgent_first_and_the_oldest_among_equals(
    any_db: Database, three: list[int]
) -> None:
    arrange(any_db, three[:1], due_at=NOON - LEASE)
    arrange(any_db, three[2:], priority=SINGLE)
    order = [ids_of(claim(any_db, limit=1))[0] for _ in three]
    assert order == [three[2], three[0], three[1]]


def test_a_claim_takes_no_less_urgent_rows_than_it_is_told(
    any_db: Database, three: list[int]
) -> None:
    arrange(any_db, three[:1], priority=SINGLE)
    assert ids_of(claim(any_db, up_to=SINGLE)) == three[:1]
    assert ids_of(claim(any_db)) == three[1:]


def test_a_claim_takes_nothing_that_is_not_due_or_waits_for_the_other_stage(
    any_db: Database, three: list[int]
) -> None:
    assert claim(any_db, APPLY) == []
    assert claim(any_db, now=NOON - LEASE) == []


def test_a_leased_row_is_free_again_when_the_lease_has_ended(
    any_db: Database, three: list[int]
) -> None:
    claim(any_db)
    assert claim(any_db, failed_before=True, now=LATER) == []
    (again, *_) = claim(any_db, failed_before=True, now=AFTER_LEASE)
    assert (again.claim, again.failures) == (2, 2)


def test_rows_that_failed_before_are_claimed_apart_from_those_that_did_not(
    any_db: Database, three: list[int]
) -> None:
    arrange(any_db, three[:2], failures=1)
    assert ids_of(claim(any_db)) == three[2:]
    assert ids_of(claim(any_db, failed_before=True, limit=1)) == three[:1]


def test_the_apply_stage_takes_what_is_embedded_and_counts_no_failures(
    any_db: Database, three: list[int]
) -> None:
    settle_embedded(any_db, claim(any_db, limit=2))
    claimed = claim(any_db, APPLY, now=LATER)
    assert claimed == [Claimed(id_, 2, 1, 0, "good") for id_ in three[:2]]


@pytest.mark.parametrize("stage", Stage)
def test_whether_something_is_due_is_what_a_claim_would_find(
    any_db: Database, three: list[int], stage: Stage
) -> None:
    arrange(any_db, three[:1], embedded=1, due_at=LATER, priority=SINGLE)
    for now in (NOON - LEASE, NOON, LATER):
        with any_db.read() as session:
            due = queue.is_due(session, 1, stage, now=now)
            first = queue.first_due(session, 1, stage, now=now)
            found = queue.claim(session, 1, stage, limit=10, lease=LEASE, now=now)
            first_found = entry(any_db, found[0].product_id).priority if found else None
        assert due == bool(found)
        assert first == first_found


def test_two_workers_of_postgresql_claim_different_rows_without_waiting_for_each_other(
    pg_db: Database,
) -> None:
    make_generation(pg_db)
    ids = make_products(pg_db, 4)
    request(pg_db, ids)
    with pg_db.read() as one, pg_db.read() as other:
        other.execute(text("SET lock_timeout = '1s'"))
        first = queue.claim(one, 1, EMBED, limit=2, lease=LEASE, now=NOON)
        second = queue.claim(other, 1, EMBED, limit=10, lease=LEASE, now=NOON)
    assert ids_of(first) == ids[:2]
    assert ids_of(second) == ids[2:]


def test_a_claim_takes_no_more_than_its_limit_whatever_plan_postgresql_makes(
    pg_db: Database,
) -> None:
    make_generation(pg_db)
    request(pg_db, make_products(pg_db, 5))
    with pg_db.read() as session:
        for plan in ("hashjoin", "mergejoin", "hashagg", "sort", "material"):
            session.execute(text(f"SET LOCAL enable_{plan} = off"))
        taken = queue.claim(session, 1, EMBED, limit=1, lease=LEASE, now=NOON)
    assert len(taken) == 1


@pytest.mark.parametrize("stage", Stage)
def test_an_idle_poll_reads_the_index_of_due_rows_alone(any_db: Database, stage: Stage) -> None:
    make_generation(any_db)
    ids = make_products(any_db, 2000)
    request(any_db, ids)
    arrange(any_db, ids, due_at=None)
    explain = "EXPLAIN QUERY PLAN " if any_db.is_sqlite else "EXPLAIN "
    with any_db.read() as session:
        session.execute(text("ANALYZE"))
        with statements(any_db) as asked:
            queue.is_due(session, 1, stage)
            queue.first_due(session, 1, stage)
        of_the_queue = [each for each in asked if "index_entries" in each[0]]
        assert len(of_the_queue) == 2  # the others read the clock
        for statement, parameters in of_the_queue:
            plan = session.connection().exec_driver_sql(explain + statement, parameters)
            assert "ix_index_entries_due" in str(plan.all())


# --- settle ----------------------------------------------------------------------------------


def test_an_embedded_row_goes_on_to_the_apply_stage_with_a_clean_record(
    any_db: Database, three: list[int]
) -> None:
    arrange(any_db, three, last_error="unavailable")
    assert settle_embedded(any_db, claim(any_db)) == 3
    row = entry(any_db, three[0])
    assert (numbers(row), row.embedded_digest, row.due_at) == ((1, 1, 0), "good", LATER)
    assert (row.failures, row.last_error) == (0, None)


def test_a_late_embedder_changes_no_entry(any_db: Database, three: list[int]) -> None:
    late = claim(any_db)
    newer = claim(any_db, failed_before=True, limit=1, now=AFTER_LEASE)
    before = entry(any_db, three[0])
    assert settle_embedded(any_db, late[:1]) == 0
    assert fail(any_db, late[:1]) == 0
    after = entry(any_db, three[0])
    assert (numbers(after), after.due_at, after.last_error) == (
        numbers(before),
        before.due_at,
        None,
    )
    assert settle_embedded(any_db, newer) == 1


def test_settling_counts_the_rows_that_were_still_ours(any_db: Database, three: list[int]) -> None:
    claimed = claim(any_db)
    claim(any_db, failed_before=True, limit=1, now=AFTER_LEASE)
    assert settle_embedded(any_db, claimed) == 2


def test_an_image_that_came_meanwhile_is_embedded_next(any_db: Database, three: list[int]) -> None:
    claimed = claim(any_db)
    request(any_db, three[:1], now=LATER)
    settle_embedded(any_db, claimed, digest="old")
    assert numbers(entry(any_db, three[0])) == (2, 1, 0)
    assert ids_of(claim(any_db, EMBED, now=LATER)) == three[:1]


def test_a_removal_that_came_meanwhile_is_not_undone_by_an_embedder(
    any_db: Database, three: list[int]
) -> None:
    claimed = claim(any_db)
    remove(any_db, three[:1])
    settle_embedded(any_db, claimed)
    assert numbers(entry(any_db, three[0])) == (2, 2, 0)
    assert three[0] in ids_of(claim(any_db, APPLY, now=LATER))


def test_an_indexed_row_is_at_rest_and_knows_its_points_claim(
    any_db: Database, three: list[int]
) -> None:
    settle_embedded(any_db, claim(any_db))
    assert settle_indexed(any_db, claim(any_db, APPLY, now=LATER)) == 3
    row = entry(any_db, three[0])
    assert (numbers(row), row.indexed_claim, row.due_at) == ((1, 1, 1), 2, None)


def test_a_removed_product_is_at_rest_without_a_point(any_db: Database, three: list[int]) -> None:
    index_all(any_db)
    remove(any_db, three)
    assert settle_indexed(any_db, claim(any_db, APPLY, now=LATER), point=False) == 3
    row = entry(any_db, three[0])
    assert (numbers(row), row.indexed_claim, row.due_at) == ((2, 2, 2), None, None)


def test_points_and_deletions_are_settled_in_one_go(any_db: Database, three: list[int]) -> None:
    settle_embedded(any_db, claim(any_db))
    rows = claim(any_db, APPLY, now=LATER)
    mixed = [(row, row.product_id != three[1]) for row in rows]
    assert any_db.write(lambda session: queue.settle_indexed(session, 1, mixed)) == 3
    assert [entry(any_db, id_).indexed_claim for id_ in three] == [2, None, 2]


def test_a_price_that_came_meanwhile_is_applied_next(any_db: Database, three: list[int]) -> None:
    settle_embedded(any_db, claim(any_db))
    claimed = claim(any_db, APPLY, now=LATER)
    request(any_db, three[:1], image=False, now=LATER)
    assert settle_indexed(any_db, claimed) == 3
    row = entry(any_db, three[0])
    assert (numbers(row), row.indexed_claim, row.due_at) == ((2, 2, 1), 2, LATER)


def test_a_late_writers_rows_are_written_once_more(any_db: Database, three: list[int]) -> None:
    settle_embedded(any_db, claim(any_db))
    late = claim(any_db, APPLY, now=LATER)
    settle_indexed(any_db, claim(any_db, APPLY, now=LATER + LEASE))
    assert settle_indexed(any_db, late) == 0
    row = entry(any_db, three[0])
    assert (numbers(row), row.indexed_claim, row.due_at) == ((2, 2, 1), 3, LATER)


def test_only_the_late_rows_of_a_batch_are_written_once_more(
    any_db: Database, three: list[int]
) -> None:
    settle_embedded(any_db, claim(any_db))
    rows = claim(any_db, APPLY, now=LATER)
    claim(any_db, APPLY, limit=1, now=LATER + LEASE)
    assert settle_indexed(any_db, rows) == 2
    assert [entry(any_db, id_).wanted for id_ in three] == [2, 1, 1]


def test_a_late_writer_does_not_hurry_an_image_that_is_being_embedded(
    any_db: Database, three: list[int]
) -> None:
    settle_embedded(any_db, claim(any_db))
    late = claim(any_db, APPLY, now=LATER)
    request(any_db, three, now=LATER)
    claim(any_db, now=LATER)
    settle_indexed(any_db, late)
    row = entry(any_db, three[0])
    assert (numbers(row), row.due_at) == ((3, 1, 0), LATER + LEASE)


def test_an_error_of_the_index_is_over_when_the_index_takes_the_point(
    any_db: Database, three: list[int]
) -> None:
    settle_embedded(any_db, claim(any_db))
    fail_apply(any_db, claim(any_db, APPLY, now=LATER))
    request(any_db, three, image=False, now=LATER)
    settle_indexed(any_db, claim(any_db, APPLY, now=LATER))
    assert entry(any_db, three[0]).last_error is None


# --- fail ------------------------------------------------------------------------------------


def test_a_failure_that_may_pass_waits_for_its_next_attempt(
    any_db: Database, three: list[int]
) -> None:
    assert fail(any_db, claim(any_db), reason="busy", retry_at=AFTER_LEASE) == 3
    row = entry(any_db, three[0])
    assert (numbers(row), row.due_at, row.last_error) == ((1, 0, 0), AFTER_LEASE, "busy")


def test_a_failure_for_good_rests_in_quarantine(any_db: Database, three: list[int]) -> None:
    fail(any_db, claim(any_db))
    row = entry(any_db, three[0])
    assert (numbers(row), row.due_at, row.last_error) == ((1, 0, 0), None, "bad")


def test_a_product_whose_new_image_is_bad_goes_on_with_its_last_good_vector(
    any_db: Database, three: list[int]
) -> None:
    index_all(any_db)
    request(any_db, three, now=LATER)
    fail(any_db, claim(any_db, now=LATER))
    claimed = claim(any_db, APPLY, now=LATER)
    assert [row.embedded_digest for row in claimed] == ["good"] * 3
    settle_indexed(any_db, claimed)
    row = entry(any_db, three[0])
    assert (numbers(row), row.due_at, row.last_error) == ((2, 2, 2), None, "bad")


def test_a_point_whose_vector_is_lost_and_whose_image_is_bad_is_deleted(
    any_db: Database, three: list[int]
) -> None:
    index_all(any_db)
    request(any_db, three, image=False, now=LATER)
    lost = claim(any_db, APPLY, now=LATER)
    any_db.write(lambda session: queue.send_back(session, 1, lost, now=LATER))
    fail(any_db, claim(any_db, now=LATER))
    (row, *_) = claim(any_db, APPLY, now=LATER)
    assert row.embedded_digest is None


@pytest.mark.parametrize("retry_at", [AFTER_LEASE, None])
def test_a_failure_of_an_image_that_was_replaced_meanwhile_is_dropped(
    any_db: Database, three: list[int], retry_at: Any
) -> None:
    claimed = claim(any_db)
    request(any_db, three, now=LATER)
    fail(any_db, claimed, retry_at=retry_at)
    row = entry(any_db, three[0])
    assert (numbers(row), row.due_at) == ((2, 0, 0), LATER)
    assert (row.failures, row.last_error) == (0, None)


def test_a_failure_is_recorded_though_the_price_has_changed_meanwhile(
    any_db: Database, three: list[int]
) -> None:
    claimed = claim(any_db)
    request(any_db, three, image=False, now=LATER)
    fail(any_db, claimed)
    row = entry(any_db, three[0])
    assert (numbers(row), row.due_at, row.last_error) == ((2, 0, 0), None, "bad")


def test_a_failure_does_not_keep_a_product_that_was_removed_meanwhile(
    any_db: Database, three: list[int]
) -> None:
    claimed = claim(any_db)
    remove(any_db, three)
    fail(any_db, claimed)
    row = entry(any_db, three[0])
    assert (numbers(row), row.due_at, row.last_error) == ((2, 2, 0), LATER, None)


def test_an_index_that_may_answer_later_is_asked_again_later(
    any_db: Database, three: list[int]
) -> None:
    settle_embedded(any_db, claim(any_db))
    fail_apply(any_db, claim(any_db, APPLY, now=LATER), retry_at=AFTER_LEASE)
    row = entry(any_db, three[0])
    assert (numbers(row), row.due_at, row.last_error) == ((1, 1, 0), AFTER_LEASE, None)


def test_a_point_that_the_index_refuses_rests_in_quarantine_unless_it_has_changed(
    any_db: Database, three: list[int]
) -> None:
    settle_embedded(any_db, claim(any_db))
    claimed = claim(any_db, APPLY, now=LATER)
    request(any_db, three[:1], image=False, now=LATER)
    fail_apply(any_db, claimed)
    changed, refused = entry(any_db, three[0]), entry(any_db, three[1])
    assert (changed.due_at, changed.last_error) == (LATER, None)
    assert (refused.due_at, refused.last_error) == (None, "refused")


# --- quarantine, free, ask again, send back --------------------------------------------------


def quarantine_exhausted(db: Database) -> int:
    return db.write(
        lambda session: queue.quarantine_exhausted(session, 1, max_failures=3, now=LATER)
    )


def test_a_row_whose_attempts_all_died_is_quarantined_when_its_lease_has_ended(
    any_db: Database, three: list[int]
) -> None:
    arrange(any_db, three[:2], failures=3)
    arrange(any_db, three[1:2], due_at=AFTER_LEASE)
    arrange(any_db, three[2:], failures=2)
    assert quarantine_exhausted(any_db) == 1
    row = entry(any_db, three[0])
    assert (row.due_at, row.last_error) == (None, queue.EXHAUSTED)


def test_a_quarantined_product_keeps_its_last_good_vector(
    any_db: Database, three: list[int]
) -> None:
    index_all(any_db)
    request(any_db, three, now=LATER)
    arrange(any_db, three, failures=3)
    quarantine_exhausted(any_db)
    assert ids_of(claim(any_db, APPLY, now=LATER)) == three


def test_what_waits_for_the_index_is_never_quarantined(any_db: Database, three: list[int]) -> None:
    settle_embedded(any_db, claim(any_db))
    arrange(any_db, three, failures=9)
    assert quarantine_exhausted(any_db) == 0


def test_an_owner_that_is_alone_frees_leases_but_wakes_nothing_that_rests(
    any_db: Database, three: list[int]
) -> None:
    fail(any_db, claim(any_db, limit=1))
    in_time = {"now": None, "lease": timedelta(hours=1)}
    claim(any_db, **in_time)
    assert any_db.write(queue.free_leases) == 2
    assert entry(any_db, three[0]).due_at is None
    assert ids_of(claim(any_db, failed_before=True, **in_time)) == three[1:]


def test_a_point_that_is_asked_for_again_is_written_by_a_newer_claim_than_the_index_holds(
    any_db: Database, three: list[int]
) -> None:
    index_all(any_db)
    found = {three[0]: 0, three[1]: 50}
    asked = any_db.write(lambda session: queue.request_again(session, 1, found, now=LATER))
    assert asked == 2
    assert [row.claim for row in claim(any_db, APPLY, now=LATER)] == [3, 51]
    assert entry(any_db, three[2]).due_at is None


def test_asking_again_does_not_wake_the_quarantine(any_db: Database, three: list[int]) -> None:
    fail(any_db, claim(any_db))
    any_db.write(lambda session: queue.request_again(session, 1, {three[0]: 0}, now=LATER))
    assert entry(any_db, three[0]).due_at is None


def test_a_row_whose_vector_is_lost_goes_back_to_the_embed_stage(
    any_db: Database, three: list[int]
) -> None:
    settle_embedded(any_db, claim(any_db))
    rows = claim(any_db, APPLY, now=LATER)
    assert any_db.write(lambda session: queue.send_back(session, 1, rows, now=LATER)) == 3
    assert ids_of(claim(any_db, EMBED, now=LATER)) == three


def test_a_product_that_was_removed_meanwhile_is_not_sent_back(
    any_db: Database, three: list[int]
) -> None:
    settle_embedded(any_db, claim(any_db))
    rows = claim(any_db, APPLY, now=LATER)
    remove(any_db, three)
    any_db.write(lambda session: queue.send_back(session, 1, rows, now=LATER))
    assert claim(any_db, EMBED, now=LATER) == []
    assert ids_of(claim(any_db, APPLY, now=LATER)) == three


# --- backfill --------------------------------------------------------------------------------


def test_a_backfill_gives_products_their_entry_range_by_range(any_db: Database) -> None:
    make_generation(any_db)
    ids = make_products(any_db, 5)
    reached = []
    after: int | None = 0
    while after is not None:
        after = any_db.write(
            lambda session, after=after: backfill.backfill(session, 1, after=after, limit=2)
        )
        reached.append(after)
    assert reached == [ids[1], ids[3], ids[4], None]
    assert sorted(entries(any_db)) == [(1, id_) for id_ in ids]


def test_a_backfill_keeps_the_entries_that_are_there(any_db: Database, three: list[int]) -> None:
    index_all(any_db)
    any_db.write(lambda session: backfill.backfill(session, 1, after=0, limit=10))
    row = entry(any_db, three[0])
    assert (numbers(row), row.due_at) == ((1, 1, 1), None)


def test_a_removed_product_gets_no_entry_from_a_backfill(any_db: Database) -> None:
    make_generation(any_db)
    make_products(any_db, 2, removed_at=NOON)
    any_db.write(lambda session: backfill.backfill(session, 1, after=0, limit=10))
    assert entries(any_db) == {}


@pytest.mark.parametrize(("state", "priority"), [(ACTIVE, IMPORT), (BUILDING, REINDEX)])
def test_a_reindex_fills_its_entries_at_the_lowest_priority(
    any_db: Database, state: str, priority: int
) -> None:
    make_generation(any_db, state=state)
    (id_,) = make_products(any_db, 1)
    any_db.write(lambda session: backfill.insert_missing(session, 1, Product.id == id_))
    assert entry(any_db, id_).priority == priority


def test_entries_go_with_their_product(any_db: Database, three: list[int]) -> None:
    any_db.write(lambda session: session.execute(delete(Product).where(Product.id == three[0])))
    assert sorted(entries(any_db)) == [(1, id_) for id_ in three[1:]]
