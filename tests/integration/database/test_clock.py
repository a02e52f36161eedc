"""Due times and leases go by one clock, whatever the clocks of hosts are set to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, tzinfo
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session
from support.rows import make_generation, make_products
from support.shop import Shop

from backend import generations, jobs, queue
from backend.access import keys
from backend.access.scope import Scope
from backend.database import clock
from backend.database.engine import Database
from backend.database.models import BUILDING, ClockRow, IndexEntry, Product, declaring
from backend.generations import EmbedderIdentity
from backend.jobs import Waiting, runners
from backend.queue import IMPORT, Stage
from backend.status import status

LEASE = timedelta(seconds=120)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
APART = timedelta(seconds=45)
STEPS = [pytest.param(-HOUR, id="back"), pytest.param(HOUR, id="forward")]

Turn = Callable[[timedelta], None]


@pytest.fixture
def turn(monkeypatch: pytest.MonkeyPatch) -> Turn:
    """Sets the clocks: of all hosts, that of the database's server included."""
    wall = clock.wall

    def by(step: timedelta) -> None:
        monkeypatch.setattr(clock, "wall", lambda: wall() + step)
        server: Any = func.clock_timestamp() + text(f"interval '{step.total_seconds()} seconds'")
        monkeypatch.setattr(clock, "server_time", lambda: server)

    return by


@pytest.fixture
def filled(any_db: Database) -> Database:
    """Three products that are requested now."""
    make_generation(any_db)
    ids = make_products(any_db, 3)
    any_db.write(lambda session: queue.request(session, ids, image=True, priority=IMPORT))
    return any_db


def claim(db: Database, *, lease: timedelta = LEASE) -> int:
    return len(db.write(lambda session: queue.claim(session, 1, Stage.EMBED, limit=9, lease=lease)))


def now(db: Database) -> datetime:
    return db.write(clock.now)


@contextmanager
def after(db: Database) -> Iterator[Database]:
    """The same database, for a process that starts later."""
    with closing(Database(db.engine.url.render_as_string(hide_password=False))) as later:
        yield later


# --- the clock is set -------------------------------------------------------------------------


@pytest.mark.parametrize("step", STEPS)
def test_what_was_due_is_due_when_the_clock_was_set(
    filled: Database, turn: Turn, step: timedelta
) -> None:
    turn(step)
    assert claim(filled) == 3


@pytest.mark.parametrize("step", STEPS)
def test_what_is_requested_when_the_clock_was_set_is_due_at_once(
    filled: Database, turn: Turn, step: timedelta
) -> None:
    claim(filled)
    turn(step)
    filled.write(lambda session: queue.request(session, [1], image=True, priority=IMPORT))
    turn(timedelta())
    assert claim(filled) >= 1


def test_a_lease_ends_in_time_when_the_clock_was_put_back(filled: Database, turn: Turn) -> None:
    assert claim(filled, lease=timedelta(milliseconds=1)) == 3
    turn(-HOUR)
    with filled.read() as session:
        late = clock.now(session) + timedelta(milliseconds=2)
        ends = session.scalar(select(func.max(IndexEntry.due_at)))
    assert ends is not None
    assert ends < late


def test_a_lease_holds_when_the_clock_of_the_one_host_was_put_forward(
    db: Database, turn: Turn
) -> None:
    make_generation(db)
    ids = make_products(db, 1)
    db.write(lambda session: queue.request(session, ids, image=True, priority=IMPORT))
    assert claim(db) == 1
    turn(DAY)
    assert claim(db) == 0


def test_a_job_that_waits_goes_on_when_the_clock_was_put_back(any_db: Database, turn: Turn) -> None:
    steps: list[int] = []

    def wait_once(_arguments: Any, _report: Any) -> dict[str, Any]:
        steps.append(1)
        if len(steps) == 1:
            raise Waiting(seconds=0)
        return {}

    job_id = jobs.write(any_db, "wait")
    jobs.run_next(any_db, {"wait": wait_once})
    turn(-HOUR)
    assert jobs.run_next(any_db, {"wait": wait_once})
    job = jobs.read(any_db, job_id)
    assert job
    assert job.state == jobs.DONE


def test_the_time_never_goes_back_in_any_process(any_db: Database, turn: Turn) -> None:
    before = now(any_db)
    turn(-HOUR)
    assert now(any_db) > before
    with after(any_db) as later:  # a process that never saw the former time
        assert now(later) >= before


def test_a_process_reads_on_while_it_writes_nothing(any_db: Database, turn: Turn) -> None:
    before = now(any_db)
    turn(-HOUR)
    with any_db.read() as session:
        assert clock.now(session) > before


def test_after_a_start_of_the_host_nothing_waits_for_the_old_time(
    db: Database, turn: Turn, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn(DAY)
    make_generation(db)
    ids = make_products(db, 1)
    db.write(lambda session: queue.request(session, ids, image=True, priority=IMPORT))
    claim(db)
    turn(timedelta())
    monkeypatch.setattr(clock, "boot", lambda: "the next one")
    with after(db) as later:
        later.write(lambda session: queue.request(session, ids, image=True, priority=IMPORT))
        assert claim(later) == 1
        assert abs(now(later) - clock.wall()) < HOUR


def test_a_server_that_was_put_back_while_nobody_looked_goes_on_from_where_it_was(
    pg_db: Database, turn: Turn
) -> None:
    before = now(pg_db)
    turn(-HOUR)
    with after(pg_db) as later:
        assert now(later) >= before
        with later.read() as session:
            assert session.scalars(select(ClockRow.ahead_seconds)).one() > 3000


def test_a_long_transaction_keeps_nobody_from_the_clock(pg_db: Database, turn: Turn) -> None:
    now(pg_db)
    with pg_db.read() as session:
        session.execute(select(ClockRow).with_for_update())
        turn(-HOUR)  # so that it has something to write down
        assert now(pg_db)


# --- one host is wrong ------------------------------------------------------------------------


@pytest.mark.parametrize("step", [pytest.param(APART, id="fast"), pytest.param(-APART, id="slow")])
def test_a_host_whose_clock_is_wrong_delays_nothing_on_postgresql(
    pg_db: Database, monkeypatch: pytest.MonkeyPatch, step: timedelta
) -> None:
    make_generation(pg_db)
    ids = make_products(pg_db, 1)
    with monkeypatch.context() as wrong:
        wrong.setattr(clock, "wall", lambda: datetime.now().astimezone() + step)
        with after(pg_db) as other:
            other.write(lambda session: queue.request(session, ids, image=True, priority=IMPORT))
            skew = runners.record_presence(other, embeds=True, applies=True)
    assert skew == pytest.approx(step.total_seconds(), abs=5)
    assert claim(pg_db) == 1
    assert claim(pg_db) == 0  # and the lease is no shorter
    with pg_db.read() as session:
        request = session.scalars(select(IndexEntry.requested_at)).one()
        assert 0 <= clock.age(session, request) < APART.total_seconds()


class TwoHoursAhead(datetime):
    """The clock of a host that is wrong."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Any:
        return datetime.now(tz) + 2 * HOUR


def test_a_standby_and_a_key_do_not_end_early_on_a_host_whose_clock_is_ahead(
    any_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_generation(any_db)
    other = EmbedderIdentity(spec="mean-colour", fingerprint="g", size=3)
    new = generations.start(any_db, other, state=BUILDING)
    generations.activate(any_db, new.id, quality=None)
    soon = now(any_db) + HOUR
    key = any_db.write(lambda session: keys.create(session, "a", scope=Scope.READ, expires_at=soon))
    monkeypatch.setattr(declaring, "datetime", TwoHoursAhead)
    monkeypatch.setattr(clock, "datetime", TwoHoursAhead)
    assert generations.retire_expired(any_db, keep=HOUR) is None
    with any_db.read() as session:
        assert keys.check(session, key.token).state == "live"


@pytest.fixture
def shop(settings: Any) -> Iterator[Shop]:
    with Shop(settings) as one:
        yield one


def test_status_warns_of_a_skew_and_shows_no_negative_age(shop: Shop, turn: Turn) -> None:
    shop.services.db.write(
        lambda session: queue.request(session, make(session), image=True, priority=IMPORT)
    )
    assert read_status(shop)["warnings"] == []
    turn(-HOUR)
    found = read_status(shop)
    assert found["clock_skew_seconds"] == pytest.approx(-3600, abs=5)
    assert "this host is 3,600 s behind" in found["warnings"][0]
    assert found["oldest_pending_seconds"] >= 0


def test_the_owner_that_starts_sets_the_clock_by_its_host(shop: Shop, turn: Turn) -> None:
    turn(-HOUR)
    shop.restart()
    assert read_status(shop)["warnings"] == []


def test_status_names_the_worker_whose_clock_is_wrong(pg_db: Database, turn: Turn) -> None:
    runners.record_presence(pg_db, embeds=True, applies=True)
    pg_db.write(lambda session: session.execute(text("UPDATE workers SET skew_seconds = 45")))
    found = status(pg_db, lambda _generation: None)
    assert [one["skew_seconds"] for one in found["workers"]] == [45]
    assert "worker" in found["warnings"][0]
    assert "45 s ahead" in found["warnings"][0]


def make(session: Session) -> list[int]:
    product = Product(sku="s", image_uri="nowhere")
    session.add(product)
    session.flush()
    return [product.id]


def read_status(shop: Shop) -> dict[str, Any]:
    return status(shop.services.db, shop.services.indexes.look_at_shard)
