"""The one clock of due times: that of the database."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.database.dialect import is_postgresql
from backend.database.models import utcnow


def now(session: Session) -> datetime:
    """Return the time by the database's clock; a SQLite file has that of its host."""
    if not is_postgresql(session):
        return utcnow()
    moment: datetime = session.scalars(select(func.clock_timestamp())).one()
    return moment
