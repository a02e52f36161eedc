"""Writers wait for each other, a deadlock's victim is run again, and nothing is half written."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import IntegrityError, OperationalError, StatementError
from sqlalchemy.orm import Session
from support.rows import NOON, entries, make_generation, make_products, request

from backend import queue
from backend.database.engine import DEADLOCK_TRIES, Database
from backend.database.models import Event, Product
from backend.queue import Stage


def count_products(db: Database) -> int:
    with db.read() as session:
        return session.scalar(select(func.count()).select_from(Product)) or 0


# --- transactions ----------------------------------------------------------------------------


def test_a_write_that_raises_leaves_nothing_behind(any_db: Database) -> None:
    def half(session: Session) -> None:
        session.add(Product(sku="s"))
        session.flush()
        raise KeyError

    with pytest.raises(KeyError):
        any_db.write(half)
    assert count_products(any_db) == 0


def test_a_write_returns_what_its_work_returns(any_db: Database) -> None:
    assert any_db.write(lambda _session: 7) == 7


def test_what_a_reader_changes_is_rolled_back(any_db: Database) -> None:
    with any_db.read() as session:
        session.add(Product(sku="s"))
        session.flush()
    assert count_products(any_db) == 0


def test_rows_can_be_read_after_their_session(any_db: Database) -> None:
    make_products(any_db, 1, display_name="Shirt")
    with any_db.read() as session:
        product = session.scalars(select(Product)).one()
    assert product.display_name == "Shirt"


def test_a_row_needs_what_it_refers_to(any_db: Database) -> None:
    with pytest.raises(IntegrityError):
        any_db.write(lambda session: session.add(Event(product_id=1, kind="view")))


# --- moments ---------------------------------------------------------------------------------


def test_a_moment_comes_back_in_utc_from_whatever_zone(any_db: Database) -> None:
    east = timezone(timedelta(hours=5, minutes=30))
    make_products(any_db, 1, removed_at=datetime(2026, 1, 1, 17, 30, tzinfo=east))
    with any_db.read() as session:
        found = session.scalars(select(Product.removed_at)).one()
    assert found == NOON
    assert found.tzinfo is UTC


def test_a_moment_without_a_zone_is_refused(any_db: Database) -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001
    with pytest.raises(StatementError, match="naive datetime"):
        make_products(any_db, 1, removed_at=naive)
    with any_db.read() as session, pytest.raises(StatementError, match="naive datetime"):
        session.scalars(select(Product).where(Product.created_at < naive))


# --- victims, on PostgreSQL ------------------------------------------------------------------


def test_the_victim_of_a_deadlock_tries_again(pg_db: Database) -> None:
    one, other = make_products(pg_db, 2)
    both_hold_one, tries = threading.Barrier(2), []

    def cross(first: int, second: int, price: float) -> None:
        def work(session: Session) -> None:
            tries.append(price)
            for id_ in (first, second):
                session.execute(update(Product).where(Product.id == id_).values(price=price))
                if tries.count(price) == 1 and id_ == first:
                    both_hold_one.wait()

        pg_db.write(work)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(cross, one, other, 1), pool.submit(cross, other, one, 2)]:
            done.result()
    assert len(tries) == 3
    with pg_db.read() as session:
        assert len(set(session.scalars(select(Product.price)))) == 1


@pytest.mark.parametrize(("sqlstate", "tries"), [("40001", DEADLOCK_TRIES), ("57014", 1)])
def test_only_a_victim_tries_again_and_not_for_ever(
    pg_db: Database, sqlstate: str, tries: int
) -> None:
    seen = []
    raising = f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{sqlstate}'; END $$"

    def work(session: Session) -> None:
        seen.append(1)
        session.execute(text(raising))

    with pytest.raises(OperationalError):
        pg_db.write(work)
    assert len(seen) == tries


def test_what_a_victims_first_try_wrote_is_not_there_twice(pg_db: Database) -> None:
    tries = []

    def work(session: Session) -> None:
        tries.append(1)
        session.add(Product(sku=f"s{len(tries)}"))
        session.flush()
        if len(tries) == 1:
            session.execute(text("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40P01'; END $$"))

    pg_db.write(work)
    assert count_products(pg_db) == 1


# --- many writers, on SQLite -----------------------------------------------------------------


def test_three_writers_beside_a_background_thread_never_find_sqlite_locked(db: Database) -> None:
    make_generation(db)
    done = threading.Event()

    def shop(name: str) -> None:
        for number in range(25):

            def put(session: Session, sku: str = f"{name}{number}") -> None:
                found = session.scalar(select(func.count()).select_from(Product))  # reads first
                product = Product(sku=sku, price=found)
                session.add(product)
                session.flush()
                queue.request(session, [product.id], image=True, priority=queue.SINGLE)

            db.write(put)

    def background() -> int:
        taken = 0
        while not done.is_set():
            with db.read() as session:
                queue.is_due(session, 1, Stage.EMBED)
            claimed = db.write(
                lambda session: queue.claim(
                    session, 1, Stage.EMBED, limit=5, lease=timedelta(hours=1)
                )
            )
            db.write(
                lambda session, rows=claimed: queue.settle_embedded(
                    session, 1, [(row, "d") for row in rows]
                )
            )
            taken += len(claimed)
        return taken

    with ThreadPoolExecutor(4) as pool:
        worker = pool.submit(background)
        for writer in [pool.submit(shop, name) for name in "abc"]:
            writer.result()
        done.set()
        worker.result()
    assert count_products(db) == 75
    assert len(entries(db)) == 75


WRITER = """
import sys
from backend import queue
from backend.database.engine import Database
from backend.database.migrate import migrate
from backend.database.models import Product

db = Database(sys.argv[1])
migrate(db)
for number in range(20):
    def put(session):
        product = Product(sku=f"{sys.argv[2]}-{number}")
        session.add(product)
        session.flush()
        queue.request(session, [product.id], image=True, priority=0)
    db.write(put)
"""


def test_processes_that_start_at_once_on_a_new_sqlite_file_never_find_it_locked(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path / 'new' / 'lookalike.sqlite'}"
    processes = [
        subprocess.Popen([sys.executable, "-c", WRITER, url, str(number)], stderr=subprocess.PIPE)
        for number in range(3)
    ]
    errors = [process.communicate()[1].decode() for process in processes]
    assert errors == [""] * 3
    db = Database(url)
    assert count_products(db) == 60
    db.close()


def test_a_new_sqlite_file_waits_for_who_writes_to_it_while_it_gets_its_log(tmp_path: Path) -> None:
    """Two processes that open it at once: SQLite itself does not wait for this one lock."""
    path = tmp_path / "new.sqlite"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    other.execute("CREATE TABLE busy (x)")
    threading.Timer(0.2, lambda: other.execute("COMMIT")).start()
    db = Database(f"sqlite:///{path}")
    with db.read() as session:
        assert session.scalar(text("SELECT count(*) FROM busy")) == 0
    db.close()
    other.close()


def test_a_writer_takes_the_lock_before_it_reads(db: Database) -> None:
    """Otherwise two writers could both have read, and neither could go on to write."""
    reading, written = threading.Event(), []

    def slow(session: Session) -> None:
        session.scalar(select(func.count()).select_from(Product))
        reading.set()
        threading.Event().wait(0.2)
        session.add(Product(sku="slow"))
        session.flush()
        written.append("slow")

    def quick(session: Session) -> None:
        session.add(Product(sku="quick"))
        session.flush()
        written.append("quick")

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(db.write, slow)
        reading.wait()
        db.write(quick)
        first.result()
    assert written == ["slow", "quick"]


def test_readers_of_sqlite_do_not_wait_for_a_writer(db: Database) -> None:
    def write(session: Session) -> int:
        session.add(Product(sku="s"))
        session.flush()
        return count_products(db)  # through another connection

    assert db.write(write) == 0
    assert count_products(db) == 1


def test_a_file_has_another_version_after_each_commit_of_whoever(db: Database) -> None:
    elsewhere = Database(db.engine.url.render_as_string(hide_password=False))
    known = db.version()
    with db.read() as session:
        session.scalar(select(func.count()).select_from(Product))
    assert known is not None
    assert db.version() == known
    for number, writer in enumerate((db, elsewhere)):
        writer.write(lambda session, sku=str(number): session.add(Product(sku=sku)))
        changed = db.version()
        assert changed != known
        known = changed
    elsewhere.close()


def test_a_server_has_no_version(pg_db: Database) -> None:
    assert pg_db.version() is None


def test_a_databases_folder_is_made(tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path / 'a' / 'b' / 'c.sqlite'}")
    assert db.is_sqlite
    with db.read() as session:
        assert session.scalar(text("PRAGMA journal_mode")) == "wal"
    db.close()


def test_requests_of_two_writers_for_the_same_products_both_count(any_db: Database) -> None:
    make_generation(any_db)
    ids = make_products(any_db, 20)
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(request, any_db, ids[::step]) for step in (1, -1, 1, -1)]:
            done.result()
    assert {row.wanted for row in entries(any_db).values()} == {4}
