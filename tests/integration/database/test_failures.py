"""What the errors of real databases mean."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import BigInteger, bindparam, insert, select, text, type_coerce
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from support.servers import run_sql

from backend import errors
from backend.bootstrap import explain
from backend.database import sqlite_file
from backend.database.engine import Database
from backend.database.failures import meaning_of
from backend.database.models import Product
from backend.errors import LookalikeError
from backend.settings import read_settings


def failure(database: Database, statement: object) -> LookalikeError | None:
    """Run a statement that fails, and return what its error means."""
    with pytest.raises(Exception) as failed:  # noqa: PT011  (any: that is the question)
        database.write(lambda session: session.execute(statement))  # type: ignore[call-overload]
    return meaning_of(failed.value)


def test_a_held_lock_is_not_a_database_that_does_not_answer(db: Database, tmp_path: Path) -> None:
    holder = sqlite3.connect(tmp_path / "lookalike.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    impatient = sqlite_file.patience.set(0.01)
    try:
        assert isinstance(failure(db, insert(Product).values(sku="1")), errors.DatabaseLocked)
    finally:
        sqlite_file.patience.reset(impatient)
        holder.close()


def test_a_full_disk_is_told(db: Database) -> None:
    with db.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    much = insert(Product).values(sku="1", display_name="x" * 1_000_000)
    assert isinstance(failure(db, much), errors.DatabaseFull)


def test_a_damaged_file_names_restore(tmp_path: Path) -> None:
    path = tmp_path / "damaged.sqlite"
    path.write_bytes(b"SQLite format 3\0" + bytes(range(256)) * 40)
    database = Database(f"sqlite:///{path}")
    meaning = failure(database, text("SELECT * FROM products"))
    assert isinstance(meaning, errors.DatabaseDamaged)
    assert "lookalike restore" in meaning.message
    database.close()


def test_a_file_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "folder.sqlite").mkdir()
    database = Database(f"sqlite:///{tmp_path / 'folder.sqlite'}")
    assert isinstance(failure(database, text("SELECT 1")), errors.DatabaseUnavailable)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (sqlite3.SQLITE_IOERR_WRITE, errors.DatabaseUnwritable),
        (sqlite3.SQLITE_IOERR_READ, errors.DatabaseFileFailed),
        (sqlite3.SQLITE_CANTOPEN_ISDIR, errors.DatabaseFileFailed),
        (sqlite3.SQLITE_NOMEM, errors.DatabaseBusy),
    ],
)
def test_a_code_of_sqlite_tells_writing_from_reading(
    number: int, kind: type[LookalikeError]
) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = number
    assert type(meaning_of(DBAPIError("x", {}, error))) is kind


def test_a_query_with_too_many_parts_is_the_clients_fault(db: Database) -> None:
    deep = text("SELECT " + " + ".join(["1"] * 2000))
    assert isinstance(failure(db, deep), errors.TooManyParameters)


def test_what_sqlite_cannot_store_is_the_clients_fault(db: Database) -> None:
    huge = select(type_coerce(bindparam("n", 2**70), BigInteger))
    assert isinstance(failure(db, huge), errors.NumberTooLarge)
    half = insert(Product).values(sku="\ud800")
    assert isinstance(failure(db, half), errors.BadEncoding)


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        (insert(Product).values(sku="a\0b"), errors.NulByte),
        (text(r"""SELECT '"\u0000"'::jsonb #>> '{}'"""), errors.NulByte),
        (text(r"SELECT convert_from('\xff'::bytea, 'UTF8')"), errors.BadEncoding),
        (text("SELECT 1e10::bigint::integer"), errors.NumberTooLarge),
        (text("SELECT pg_terminate_backend(pg_backend_pid())"), errors.DatabaseUnavailable),
        (text("SET LOCAL statement_timeout = 10; SELECT pg_sleep(9)"), errors.DatabaseTooSlow),
        (text("SET LOCAL ROLE pg_monitor; TABLE products"), errors.DatabaseForbidden),
    ],
    ids=[
        "NUL",
        "NUL in JSON",
        "not UTF-8",
        "too large",
        "lost connection",
        "statement timeout",
        "no privilege",
    ],
)
def test_what_postgresql_says_is_understood(
    pg_db: Database, statement: object, kind: type[LookalikeError]
) -> None:
    assert isinstance(failure(pg_db, statement), kind)


def test_too_many_parameters_are_told_by_the_driver(pg_db: Database) -> None:
    many = select(Product.id).where(Product.sku.in_([str(n) for n in range(70_000)]))
    assert isinstance(failure(pg_db, many), errors.TooManyParameters)


def test_a_server_that_is_not_there_is_unavailable() -> None:
    database = Database("postgresql+psycopg://nobody@127.0.0.1:1/x")
    assert isinstance(failure(database, text("SELECT 1")), errors.DatabaseUnavailable)


def test_all_connections_in_use_is_busy(db: Database) -> None:
    small = Database(str(db.engine.url), pool_size=1, max_overflow=0, pool_timeout=0.01)
    with small.read() as session:
        session.execute(text("SELECT 1"))
        assert isinstance(failure(small, text("SELECT 1")), errors.DatabaseBusy)
    small.close()


def test_a_server_that_takes_no_more_connections_is_busy(pg_db: Database) -> None:
    """psycopg gives no code where a connection is refused, as if nobody had answered."""
    url = pg_db.engine.url
    create = "CREATE ROLE few LOGIN CONNECTION LIMIT 0"
    run_sql(url.render_as_string(hide_password=False), "DROP ROLE IF EXISTS few", create)
    try:
        few = Database(url.set(username="few").render_as_string(hide_password=False))
        assert isinstance(failure(few, text("SELECT 1")), errors.DatabaseBusy)
        few.close()
    finally:
        run_sql(url.render_as_string(hide_password=False), "DROP ROLE few")


def test_a_fault_of_the_program_is_none_of_these(any_db: Database) -> None:
    assert failure(any_db, text("SELECT 1 WHERE")) is None
    assert meaning_of(SQLAlchemyError("?")) is None
    assert meaning_of(OverflowError("math range error")) is None
    assert not isinstance(meaning_of(DBAPIError("x", {}, ValueError())), LookalikeError)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql://u:secret@db/shop", "at db:5432"),
        ("postgresql://u:secret@/shop?host=/run/postgresql", "at /run/postgresql"),
        ("postgresql:///shop", "at a local socket"),
    ],
)
def test_what_fails_is_named_with_its_place_and_without_its_password(url: str, place: str) -> None:
    settings = read_settings(_env_file=None, database_url=url)
    said = explain(OperationalError("x", {}, ConnectionError("refused")), settings)
    assert said is not None
    assert said.endswith(f": {place}: refused")
    assert "secret" not in said
