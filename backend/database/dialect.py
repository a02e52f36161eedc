"""Which database it is: PostgreSQL, or the embedded SQLite. No other is supported."""

from __future__ import annotations

from sqlalchemy import Connection
from sqlalchemy.orm import Session


def is_postgresql(database: Session | Connection) -> bool:
    """Tell whether a session or connection is one of PostgreSQL."""
    bind = database.get_bind() if isinstance(database, Session) else database
    return bind.dialect.name == "postgresql"
