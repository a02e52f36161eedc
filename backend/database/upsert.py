"""INSERT … ON CONFLICT: both databases have it, SQLAlchemy has a class of its own for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, cast

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.orm import DeclarativeBase, Session

from backend.database.dialect import is_postgresql

Upsert: TypeAlias = postgresql.Insert | sqlite.Insert


def upsert(database: Session | Connection, table: Table | type[DeclarativeBase]) -> Upsert:
    """Begin an INSERT that the caller completes with `on_conflict_do_nothing` or `…_do_update`."""
    return postgresql.insert(table) if is_postgresql(database) else sqlite.insert(table)


def execute_rows(
    session: Session,
    statement: Upsert,
    names: Sequence[str],
    rows: Sequence[tuple[int | float | str | bytes, ...]],
) -> None:
    """Run an INSERT for very many rows, in the order of the columns `names`.

    The driver gets them as they are: what SQLAlchemy does for each row took a third of the time.
    """
    connection = session.connection()
    style = "format" if is_postgresql(connection) else "qmark"
    dialect = cast("DefaultDialect", type(connection.dialect)(paramstyle=style))  # type: ignore[call-arg]
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    if compiled.positiontup != list(names):
        raise AssertionError(f"the statement takes {compiled.positiontup}, not {names}")
    connection.exec_driver_sql(str(compiled), list(rows))
