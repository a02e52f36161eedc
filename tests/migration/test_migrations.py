"""Migrations and models say the same, from any start, also out of a built wheel."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from support.places import ROOT
from support.rows import entries, make_generation, make_products, request

from backend.database import migrate as migrating
from backend.database.engine import Database
from backend.database.models import Base


def tables(db: Database) -> set[str]:
    return set(sa.inspect(db.engine).get_table_names())


def head() -> str:
    scripts = ScriptDirectory(str(ROOT / "migrations")).get_current_head()
    assert scripts
    return scripts


def test_the_migrations_make_what_the_models_say(empty: Database) -> None:
    assert migrating.migrate(empty) == head()
    assert migrating.differences(empty) == []
    assert tables(empty) == {*Base.metadata.tables, "alembic_version"}


def test_the_models_make_what_the_migrations_say(empty: Database) -> None:
    """A constraint's name, too: what tests create is what users have."""
    migrating.migrate(empty)
    migrated = _details(empty)
    Base.metadata.drop_all(empty.engine)
    Base.metadata.create_all(empty.engine)
    assert _details(empty) == migrated


def _details(db: Database) -> dict[str, object]:
    """Return the names of all keys, indexes, constraints and the columns that may be empty."""
    inspector = sa.inspect(db.engine)
    return {
        table: (
            inspector.get_pk_constraint(table),
            sorted(inspector.get_foreign_keys(table), key=lambda key: str(key["name"])),
            sorted(inspector.get_unique_constraints(table), key=lambda key: str(key["name"])),
            sorted(
                (index["name"], index["column_names"], index["unique"], _where(index))
                for index in inspector.get_indexes(table)
            ),
            {column["name"]: column["nullable"] for column in inspector.get_columns(table)},
        )
        for table in Base.metadata.tables
    }


def _where(index: Any) -> str:
    """Return the condition of a partial index."""
    options = index.get("dialect_options", {})
    return " ".join(str(value) for name, value in options.items() if name.endswith("_where"))


def test_what_a_model_adds_is_seen_as_a_difference(empty: Database) -> None:
    migrating.migrate(empty)
    with empty.engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE job_inputs"))
        connection.execute(sa.text("ALTER TABLE cursors RENAME COLUMN position TO place"))
    kinds = {str(found[0]) for found in migrating.differences(empty) if isinstance(found, tuple)}
    assert {"add_table", "add_column", "remove_column"} <= kinds


def test_a_second_run_changes_nothing(empty: Database) -> None:
    assert not migrating.is_current(empty)
    migrating.migrate(empty)
    make_products(empty, 2)
    assert migrating.migrate(empty) == head()
    assert migrating.is_current(empty)
    with empty.read() as session:
        assert session.scalar(sa.text("SELECT count(*) FROM products")) == 2


def test_every_migration_can_be_undone(empty: Database) -> None:
    migrating.migrate(empty)
    with empty.engine.execution_options(lookalike_write=True).begin() as connection:
        command.downgrade(migrating.alembic_config(connection), "base")
    assert tables(empty) == {"alembic_version"}
    migrating.migrate(empty)
    assert migrating.differences(empty) == []


def test_a_database_can_be_brought_to_an_older_revision_first(empty: Database) -> None:
    assert migrating.migrate(empty, revision="0001") == "0001"
    assert not migrating.is_current(empty)
    assert migrating.migrate(empty) == head()


def test_hosts_that_migrate_at_once_wait_for_each_other(empty: Database) -> None:
    url = empty.engine.url.render_as_string(hide_password=False)

    def migrate() -> str:
        database = Database(url)
        try:
            return migrating.migrate(database)
        finally:
            database.close()

    with ThreadPoolExecutor(3) as pool:
        found = [done.result() for done in [pool.submit(migrate) for _ in range(3)]]
    assert found == [head()] * 3


def test_a_migration_that_fails_leaves_nothing_behind(
    empty: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object, **_options: object) -> None:
        raise KeyError

    monkeypatch.setattr(Operations, "create_index", broken)
    with pytest.raises(KeyError):
        migrating.migrate(empty)
    assert tables(empty) == set()


def test_altering_a_table_of_sqlite_keeps_what_refers_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite replaces a table to alter it; with foreign keys on, its drop would empty others."""
    db = Database(f"sqlite:///{tmp_path / 'catalogue.sqlite'}")
    migrating.migrate(db)
    make_generation(db)
    request(db, make_products(db, 2))

    def upgrade(config: migrating.Config, _revision: str) -> None:
        operations = Operations(MigrationContext.configure(config.attributes["connection"]))
        with operations.batch_alter_table("products", recreate="always") as products:
            products.add_column(sa.Column("weight", sa.Integer))

    monkeypatch.setattr(command, "upgrade", upgrade)
    migrating.migrate(db)
    assert len(entries(db)) == 2
    with db.read() as session:
        assert session.scalar(sa.text("PRAGMA foreign_keys")) == 1
    db.close()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_built_wheel_migrates_and_shows_the_demo_outside_the_repository(tmp_path: Path) -> None:
    _run("-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT))
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    _run("-m", "pip", "install", "--no-deps", "--quiet", "--target", str(site), str(wheel))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    program = "import backend, sys; from backend.cli import main; sys.exit(main())"
    shown = _run(
        "-c", "import backend, migrations; print(backend.__file__, migrations.__file__)",
        cwd=elsewhere, site=site,
    )  # fmt: skip
    assert shown.count(str(site)) == 2
    files = [path for path in (ROOT / "backend" / "web").rglob("*.*") if path.suffix != ".pyc"]
    assert len({path.suffix for path in files}) >= 5  # the pages: their code, templates and files
    assert [path for path in files if not (site / path.relative_to(ROOT)).is_file()] == []
    _run("-c", program, "migrate", cwd=elsewhere, site=site)
    db = Database(f"sqlite:///{elsewhere / 'data' / 'lookalike.sqlite'}")
    assert migrating.is_current(db)
    assert migrating.differences(db) == []
    db.close()
    plain = {"LOOKALIKE_EMBEDDER": "mean-colour"}
    demo = ("demo", "--no-serve", "--products", "20")
    shown = _run("-c", program, *demo, cwd=elsewhere, site=site, **plain)
    assert "Similar items at a glance" in shown
    assert (elsewhere / "demo" / "similar.png").is_file()


def _run(
    *arguments: str, cwd: Path | None = None, site: Path | None = None, **settings: str
) -> str:
    """Run Python, with this folder of packages before all others."""
    plain = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("LOOKALIKE_") and name != "DATABASE_URL"
    }
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=plain | ({"PYTHONPATH": str(site)} if site else {}) | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
