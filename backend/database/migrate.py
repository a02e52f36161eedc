"""Bring a database to the models' state, with the migrations that travel in the wheel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

import migrations
from backend.database import locks
from backend.database.dialect import is_postgresql
from backend.database.engine import Database
from backend.database.locks import Lock
from backend.database.models import Base


def migrate(db: Database, *, revision: str = "head") -> str:
    """Upgrade to `revision` (each migration in a transaction) and return where the database is."""
    with db.engine.execution_options(lookalike_write=True).connect() as connection:
        with _tables_can_be_replaced(connection), connection.begin():
            locks.hold(connection, Lock.MIGRATION)
            command.upgrade(_config(connection), revision)
        return current(connection) or "base"


@contextmanager
def _tables_can_be_replaced(connection: Connection) -> Iterator[None]:
    """Let SQLite drop a table whose new version is ready, without what refers to it going too.

    That is how it alters one; it can only be said outside a transaction.
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
    """Return the revision that the database is at, None before the first migration."""
    return MigrationContext.configure(connection).get_current_revision()


def is_current(db: Database) -> bool:
    """Tell whether the database is at the newest revision."""
    with db.engine.connect() as connection:
        head = ScriptDirectory.from_config(_config(connection)).get_current_head()
        return current(connection) == head


def is_known(revision: str) -> bool:
    """Tell whether the migrations lead on from a revision, or a newer program made it."""
    folder = ScriptDirectory(str(Path(migrations.__file__).parent))
    return revision in {script.revision for script in folder.walk_revisions()}


def differences(db: Database) -> list[object]:
    """List what the models have that the database has not, and the other way round."""
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, Base.metadata))


def draft(db: Database, message: str) -> None:
    """Write a new migration from the difference between the models and an upgraded database."""
    with db.engine.execution_options(lookalike_write=True).connect() as connection:
        command.revision(_config(connection), message, autogenerate=True)


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
