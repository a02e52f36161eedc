"""INSERT … ON CONFLICT: both databases have it, SQLAlchemy has a class of its own for each."""

from __future__ import annotations

from typing import TypeAlias

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase, Session

from backend.database.dialect import is_postgresql

Upsert: TypeAlias = postgresql.Insert | sqlite.Insert


def upsert(database: Session | Connection, table: Table | type[DeclarativeBase]) -> Upsert:
    """Begin an INSERT that the caller completes with `on_conflict_do_nothing` or `…_do_update`."""
    return postgresql.insert(table) if is_postgresql(database) else sqlite.insert(table)
