"""Single SELECTs by the driver's cursor give what SQLAlchemy's own connection gives."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Select, bindparam, delete, func, literal_column, select, text
from sqlalchemy.exc import DBAPIError, OperationalError
from support.rows import make_products

from backend.database.engine import Database
from backend.database.models import Product
from backend.database.reader import MAPPED_BYTES

ADDED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

IDS: Select[Any] = (
    select(
        *(Product.id, Product.sku, Product.in_stock, Product.price),
        *(Product.attributes, Product.created_at),
    )
    .where(Product.id.in_(bindparam("ids", expanding=True)))
    .order_by(Product.id)
)
COUNT: Select[Any] = select(func.count().label("many")).select_from(Product)
WRONG: Select[Any] = select(literal_column("nothing").label("nothing"))


def stocked(db: Database, count: int = 3) -> list[int]:
    return make_products(
        db, count, in_stock=False, price=9.5, attributes={"fit": "slim"}, created_at=ADDED
    )


def test_lists_may_stand_in_the_statement_itself(any_db: Database) -> None:
    ids = stocked(any_db, 3)
    two = select(Product.sku).where(
        Product.id.in_(ids[1:]), Product.sku.in_(bindparam("skus", expanding=True))
    )
    with any_db.query() as reader:
        assert [row.sku for row in reader.rows(two, {"skus": ["s0", "s2", "x"]})] == ["s2"]


@pytest.mark.parametrize("many", [0, 1, 3, 5, 130])
def test_values_are_those_of_sqlalchemy(any_db: Database, many: int) -> None:
    ids = stocked(any_db, many)
    with any_db.query() as reader:
        rows = reader.rows(IDS, {"ids": ids})
    with any_db.engine.connect() as connection:
        assert [tuple(row) for row in connection.execute(IDS, {"ids": ids})] == rows
    assert [row.sku for row in rows] == [f"s{number}" for number in range(many)]
    assert all(row.in_stock is False and row.attributes == {"fit": "slim"} for row in rows)


def test_rows_that_are_read_at_once_are_the_same(any_db: Database) -> None:
    odd = 'quotes " and \\, a line\nbreak, \t, \x7f, \u2028, ö and 😀'
    prices = (0.1, 19.99, 20.0, 9_999_999_999.99, None)
    rows = [
        Product(sku=f"{number} {odd}", price=price, in_stock=number % 2 == 0, created_at=ADDED)
        for number, price in enumerate(prices)
    ]
    rows[0].attributes = {"fit": odd, "sizes": [1, 2.5, None, True]}
    any_db.write(lambda session: session.add_all(rows))
    ids = [row.id for row in rows]
    with any_db.query() as reader:
        found = reader.rows(IDS, {"ids": ids}, at_once=True)
        assert found == reader.rows(IDS, {"ids": ids})
        assert [type(row.price) for row in found] == [
            type(row.price) for row in reader.rows(IDS, {"ids": ids})
        ]
        assert reader.rows(IDS, {"ids": [0]}, at_once=True) == []
    assert [row.sku for row in found] == [row.sku for row in rows]
    assert found[0].attributes == rows[0].attributes


def test_each_statement_sees_what_is_committed(any_db: Database) -> None:
    with any_db.query() as reader:
        assert reader.rows(COUNT)[0].many == 0
        stocked(any_db)
        assert reader.rows(COUNT)[0].many == 3


def test_its_connection_goes_back_as_it_was(any_db: Database) -> None:
    with any_db.query() as reader:
        reader.rows(COUNT)
        assert _in_use(any_db) == 1
    assert _in_use(any_db) == 0
    with any_db.read() as session:
        session.add(Product(sku="s"))
        session.flush()
    with any_db.query() as reader:
        assert reader.rows(COUNT)[0].many == 0, "a session after it wrote without a transaction"


def _in_use(db: Database) -> int:
    """How many of the connections for single SELECTs are in use; there is one."""
    if db.kept is not None:
        return 1 - len(db.kept.free)
    pool: Any = db.engine.pool
    used: int = pool.checkedout()
    return used


def test_a_file_keeps_as_many_connections_as_were_in_use_at_once(db: Database) -> None:
    assert db.kept is not None
    with db.query() as one, db.query() as other:
        one.rows(COUNT)
        other.rows(COUNT)
    kept = set(db.kept.free)
    assert len(kept) == 2
    for _ in range(3):
        with db.query() as reader:
            reader.rows(COUNT)
    assert set(db.kept.free) == kept
    assert db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


def test_a_file_that_is_read_as_memory_shows_each_commit_also_where_it_shrinks(
    db: Database,
) -> None:
    def skus() -> list[str]:
        with db.query() as reader:
            return [row.sku for row in reader.rows(select(Product.sku).order_by(Product.id))]

    stocked(db, 2000)
    assert len(skus()) == 2000
    assert db.kept is not None
    driver: Any = db.kept.free[0]
    [mapped] = driver.execute("PRAGMA mmap_size").fetchone()
    assert mapped == MAPPED_BYTES
    db.write(lambda session: session.execute(delete(Product).where(Product.sku != "s7")))
    assert skus() == ["s7"]
    with db.engine.connect() as connection:
        connection.exec_driver_sql("ROLLBACK")
        connection.exec_driver_sql("VACUUM")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").all()
    assert skus() == ["s7"]
    db.write(lambda session: session.add(Product(sku="new")))
    assert skus() == ["s7", "new"]


def test_a_database_that_is_closed_closes_what_it_keeps_and_later_what_was_in_use(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert db.kept is not None
    taken: list[Any] = []
    take = db.kept.take

    def noted() -> Any:
        taken.append(take())
        return taken[-1]

    monkeypatch.setattr(db.kept, "take", noted)
    with db.query() as reader:
        reader.rows(COUNT)
        [used] = taken
        with db.query() as other:
            other.rows(COUNT)
        [free] = db.kept.free
        db.close()
        assert _is_closed(free)
        assert not _is_closed(used)
    assert _is_closed(used)


def _is_closed(connection: Any) -> bool:
    try:
        connection.execute("SELECT 1")
    except sqlite3.ProgrammingError:
        return True
    return False


def test_a_select_that_fails_leaves_no_old_state_behind(db: Database) -> None:
    assert db.kept is not None
    stocked(db, 3)
    with pytest.raises(DBAPIError), db.query() as reader:
        reader.rows(WRONG)
    [kept] = db.kept.free
    db.write(lambda session: session.add(Product(sku="new")))
    with db.query() as reader:
        assert reader.rows(COUNT)[0].many == 4
        assert not db.kept.free
    assert list(db.kept.free) == [kept]


def test_what_the_database_refuses_is_sqlalchemys_error(any_db: Database) -> None:
    with pytest.raises(Exception) as caught, any_db.query() as reader:  # noqa: PT011
        reader.rows(WRONG)
    with any_db.engine.connect() as connection, pytest.raises(Exception) as known:  # noqa: PT011
        connection.execute(WRONG)
    assert type(caught.value) is type(known.value)
    assert caught.value.orig is not None  # type: ignore[attr-defined]
    with any_db.query() as reader:
        assert reader.rows(COUNT)[0].many == 0


def test_a_connection_that_the_server_has_ended_is_not_used_again(pg_db: Database) -> None:
    pid: Select[Any] = select(func.pg_backend_pid().label("pid"))
    with pg_db.query() as reader:
        gone = reader.rows(pid)[0].pid
        with pg_db.engine.connect() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": gone})
        with pytest.raises(OperationalError) as caught:
            reader.rows(COUNT)
    assert caught.value.connection_invalidated
    with pg_db.query() as reader:
        assert reader.rows(pid)[0].pid != gone
