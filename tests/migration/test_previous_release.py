"""The previous release works on the schema at head: shops upgrade one process after the other.

Its tables and statements lie in `previous_release`; `make record-release` wrote them down.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from support.release import FOLDER, statements
from support.release.record import run_shop
from support.release.schema import Schema, describe, stricter

from backend.database import migrate as migrating
from backend.database.engine import Database

Change = Callable[[Operations], Any]


@pytest.fixture
def head(empty: Database) -> Database:
    """A database at the newest revision."""
    migrating.migrate(empty)
    return empty


def released_tables(db: Database) -> Schema:
    schemas = json.loads((FOLDER / "schema.json").read_text(encoding="utf-8"))
    tables: Schema = schemas[db.engine.dialect.name]
    return tables


def replay(db: Database) -> list[str]:
    return statements.replay(db.engine, statements.load(FOLDER / f"{db.engine.dialect.name}.jsonl"))


def change(db: Database, what: Change) -> None:
    """Do what a migration would do."""
    with db.engine.execution_options(lookalike_write=True).begin() as connection:
        what(Operations(MigrationContext.configure(connection)))


def alter(table: str, what: Callable[[Any], Any]) -> Change:
    """Alter a table in the way that SQLite can, too."""

    def altered(operations: Operations) -> None:
        with operations.batch_alter_table(table) as batch:
            what(batch)

    return altered


def test_this_release_works_with_a_database_that_a_newer_one_has_migrated(head: Database) -> None:
    with head.engine.execution_options(lookalike_write=True).begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    assert migrating.is_current(head)
    assert migrating.migrate(head) == "9999"
    assert replay(head) == []


def test_no_table_is_stricter_than_the_previous_release_knows_it(head: Database) -> None:
    assert stricter(released_tables(head), describe(head.engine)) == []


def test_the_statements_of_the_previous_release_do_the_same(head: Database) -> None:
    assert replay(head) == []


def test_the_recorded_statements_touch_every_table_of_the_release(head: Database) -> None:
    recorded = statements.load(FOLDER / f"{head.engine.dialect.name}.jsonl")
    said = " ".join(one["sql"] for one in recorded)
    unused = {"events"}  # a table that no code of release 0.1 writes
    assert {name for name in released_tables(head) if name not in said} == unused


@pytest.mark.slow
def test_this_release_can_be_recorded(tmp_path: Path) -> None:
    """`make record-release` works, and what it records can be run again."""
    recorded = run_shop(f"sqlite:///{tmp_path}/shop.sqlite", tmp_path)
    statements.save(tmp_path / "all.jsonl", recorded)
    again = Database(f"sqlite:///{tmp_path}/again.sqlite")
    migrating.migrate(again)
    assert statements.replay(again.engine, statements.load(tmp_path / "all.jsonl")) == []
    again.close()


# --- what a migration may not do, until no running release needs it ----------------------------

REFUSED: dict[str, tuple[Change, str]] = {
    "a dropped column": (
        alter("products", lambda table: table.drop_column("season")),
        "products.season is gone",
    ),
    "a renamed column": (
        alter("products", lambda table: table.alter_column("year", new_column_name="since")),
        "products.year is gone",
    ),
    "a renamed table": (
        lambda operations: operations.rename_table("cursors", "places"),
        "cursors is gone",
    ),
    "a new column that has to be given": (
        alter(
            "products",
            lambda table: table.add_column(sa.Column("maker", sa.String(255), nullable=False)),
        ),
        "products.maker is new and has to be given",
    ),
    "a column that may no longer be empty": (
        alter(
            "products",
            lambda table: table.alter_column(
                "season", nullable=False, existing_type=sa.String(255)
            ),
        ),
        "products.season may no longer be empty",
    ),
    "a narrower column": (
        alter(
            "products",
            lambda table: table.alter_column(
                "sku", type_=sa.String(3), existing_type=sa.String(128)
            ),
        ),
        "products.sku was VARCHAR(128) and is VARCHAR(3)",
    ),
    "a new unique index": (
        lambda operations: operations.create_index("one", "products", ["season"], unique=True),
        "products has new unique: ['season']",
    ),
    "a unique constraint less": (
        alter("products", lambda table: table.drop_constraint("uq_products_sku")),
        "products has no unique ['sku'] for an upsert",
    ),
    "a new check": (
        alter("products", lambda table: table.create_check_constraint("dear", "price > 9")),
        "products has new checks: price > ",
    ),
    "a reference that keeps rows": (
        lambda operations: operations.create_table(
            "reviews", sa.Column("product_id", sa.BigInteger, sa.ForeignKey("products.id"))
        ),
        "reviews refers to products and keeps its rows from being deleted",
    ),
}
SEEN_IN_THE_TABLES_ALONE = {"a narrower column", "a new check", "a reference that keeps rows"}


@pytest.mark.parametrize("name", REFUSED)
def test_a_change_that_the_previous_release_cannot_bear_is_found(head: Database, name: str) -> None:
    what, message = REFUSED[name]
    change(head, what)
    found = stricter(released_tables(head), describe(head.engine))
    assert [line for line in found if line.startswith(message)], found
    assert bool(replay(head)) == (name not in SEEN_IN_THE_TABLES_ALONE)


def add_everything_new(operations: Operations) -> None:
    with operations.batch_alter_table("products") as products:
        products.add_column(sa.Column("maker", sa.String(255)))
        products.add_column(sa.Column("rank", sa.Integer, nullable=False, server_default="0"))
        products.alter_column("season", type_=sa.Text, existing_type=sa.String(255))
    operations.create_index("ix_products_maker", "products", ["maker"])
    operations.create_table(
        "reviews",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("product_id", sa.BigInteger, sa.ForeignKey("products.id", ondelete="CASCADE")),
    )


def test_what_is_only_added_disturbs_nobody(head: Database) -> None:
    change(head, add_everything_new)
    assert stricter(released_tables(head), describe(head.engine)) == []
    assert replay(head) == []
