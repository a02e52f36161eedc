"""Bring a database to the state of the models, with the migrations that the wheel contains."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

import migrations
from backend.database import locks
from backend.database.dialect import is_postgresql
from backend.database.engine import Database
from backend.database.locks import Lock
from backend.database.models import Base

log = structlog.get_logger(__name__)


def migrate(db: Database, *, revision: str = "head") -> str:
    """Upgrade to `revision`, each migration in a transaction; return the revision reached.

    A database that a newer release has migrated stays as it is: migrations only add, so this
    release can work with it while a shop upgrades one process after the other.
    """
    with db.engine.execution_options(lookalike_write=True).connect() as connection:
        with _foreign_keys_off(connection), connection.begin():
            locks.hold(connection, Lock.MIGRATION)
            _make_schema(connection)
            if not _is_newer(current(connection)):
                command.upgrade(alembic_config(connection), revision)
        return current(connection) or "base"


def _make_schema(connection: Connection) -> None:
    """On PostgreSQL, make the schema that the connection names and that is not there yet."""
    if is_postgresql(connection) and connection.scalar(text("SELECT current_schema()")) is None:
        path = connection.scalar(text("SHOW search_path"))
        first = str(path).partition(",")[0].strip(' "')
        quoted = connection.dialect.identifier_preparer.quote(first)
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {quoted}"))


@contextmanager
def _foreign_keys_off(connection: Connection) -> Iterator[None]:
    """On SQLite, do not enforce foreign keys for a while.

    To alter a table, a migration copies it and drops the original. With foreign keys enforced, the
    drop would delete the rows that refer to it. The switch works only outside a transaction.
    """
    driver: Any = connection.connection.driver_connection
    if not is_postgresql(connection):
        driver.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        if not is_postgresql(connection):
            driver.execute("PRAGMA foreign_keys=ON")


def current(connection: Connection) -> str | None:
    """Return the database's revision, None before the first migration."""
    return MigrationContext.configure(connection).get_current_revision()


def is_current(db: Database) -> bool:
    """Tell whether the database is at the newest revision, or at one of a newer release."""
    with db.engine.connect() as connection:
        head = ScriptDirectory.from_config(alembic_config(connection)).get_current_head()
        found = current(connection)
    return found == head or _is_newer(found)


def is_known(revision: str) -> bool:
    """Tell whether this program has a revision; if not, a newer program made it."""
    folder = ScriptDirectory(str(Path(migrations.__file__).parent))
    return revision in {script.revision for script in folder.walk_revisions()}


def _is_newer(revision: str | None) -> bool:
    if revision is None or is_known(revision):
        return False
    log.warning("a newer release has migrated the database", revision=revision)
    return True


def differences(db: Database) -> list[object]:
    """List the differences between the models and the database."""
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, Base.metadata))


def draft(db: Database, message: str) -> None:
    """Write a migration file that brings an upgraded database to the models."""
    with db.engine.execution_options(lookalike_write=True).connect() as connection:
        command.revision(alembic_config(connection), message, autogenerate=True)


def alembic_config(connection: Connection) -> Config:
    """Return what Alembic needs to run our migrations over a connection."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
