"""Statements for very many rows: the driver's own values, and ids that no row has had."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from backend.catalogue.save_products import PRODUCTS
from backend.database.engine import Database
from backend.database.many_rows import insert_new, is_among, update_by_id

NOW = datetime(2026, 5, 4, 3, 2, 1, 99, tzinfo=UTC)


def product(sku: str, **fields: Any) -> dict[str, Any]:
    times = {"created_at": NOW, "updated_at": NOW}
    return (
        {"sku": sku, "in_stock": True, "attributes": {"a": [1, True]}, "price": 1.5}
        | times
        | fields
    )


def insert(db: Database, *rows: dict[str, Any]) -> dict[str, int]:
    return db.write(lambda session: insert_new(session, PRODUCTS, "sku", rows))


def test_rows_are_stored_as_they_are_read(any_db: Database) -> None:
    ids = insert(any_db, product("a"), product("b", in_stock=False, attributes={}))
    with any_db.read() as session:
        rows = {row.sku: row for row in session.execute(select(PRODUCTS))}
    assert {sku: row.id for sku, row in rows.items()} == ids
    assert (rows["a"].attributes, rows["a"].price) == ({"a": [1, True]}, 1.5)
    assert (rows["a"].in_stock, rows["b"].in_stock, rows["b"].attributes) == (True, False, {})
    assert rows["a"].created_at == rows["b"].updated_at == NOW


def test_a_column_that_only_some_rows_set_is_stored(any_db: Database) -> None:
    rows = [product("a", season=None, brand=None), product("b", season="Fall", brand=None)]
    any_db.write(lambda session: insert_new(session, PRODUCTS, "sku", rows))
    with any_db.read() as session:
        found = session.execute(select(PRODUCTS.c.sku, PRODUCTS.c.season, PRODUCTS.c.brand)).all()
    assert sorted(found) == [("a", None, None), ("b", "Fall", None)]


def test_a_sku_that_another_writer_has_stored_is_left_out(pg_db: Database) -> None:
    insert(pg_db, product("a", season="Fall"))
    assert list(insert(pg_db, product("a"), product("b"))) == ["b"]
    with pg_db.read() as session:
        assert session.scalar(select(PRODUCTS.c.season).where(PRODUCTS.c.sku == "a")) == "Fall"


def test_values_survive_the_way_to_the_server_as_json(any_db: Database) -> None:
    attributes = {"é": ['"', "\\", "\u2028", True, 1, 1.0, 2**63 - 1, 0.1], "empty": []}
    stored = product("a\"'é", display_name="\U0001f455 \t\n{}", attributes=attributes, price=0.29)
    insert(any_db, stored | {"image_mtime_ns": 2**62 + 1, "year": 2012})
    with any_db.read() as session:
        row = session.execute(select(PRODUCTS)).one()
    assert (row.sku, row.display_name) == (stored["sku"], stored["display_name"])
    assert repr(row.attributes) == repr(attributes)
    assert (row.price, row.year, row.image_mtime_ns) == (0.29, 2012, 2**62 + 1)
    assert row.created_at == row.updated_at == NOW


def test_an_id_is_never_used_twice(db: Database) -> None:
    first = insert(db, product("a"), product("b"))
    db.write(lambda session: session.execute(PRODUCTS.delete()))
    second = insert(db, product("a"), product("c"))
    assert min(second.values()) > max(first.values())


def test_one_update_for_each_row(any_db: Database) -> None:
    ids = insert(any_db, product("a"), product("b"))
    rows = [{"b_id": id_, "season": sku, "attributes": {sku: 1}} for sku, id_ in ids.items()]
    any_db.write(lambda session: update_by_id(session, PRODUCTS, rows))
    with any_db.read() as session:
        found = session.execute(select(PRODUCTS.c.season, PRODUCTS.c.attributes)).all()
    assert sorted(found) == [("a", {"a": 1}), ("b", {"b": 1})]


@pytest.mark.parametrize("values", [[], ["b", "x", "a\"'é"]], ids=["none", "some"])
def test_the_condition_of_very_many_values(db: Database, values: list[str]) -> None:
    insert(db, product("a"), product("b"), product("a\"'é"))
    with db.read() as session:
        wanted = is_among(session, PRODUCTS.c.sku, values)
        found = session.scalars(select(PRODUCTS.c.sku).where(wanted)).all()
        ids = session.scalars(select(PRODUCTS.c.id).where(is_among(session, PRODUCTS.c.id, [1, 9])))
        assert len(ids.all()) == 1
    assert set(found) == set(values) - {"x"}
