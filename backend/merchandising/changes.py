"""What was changed of rules and placements: one row for each change."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from sqlalchemy import delete
from sqlalchemy.orm import Session

from backend.database.models import PlacementChange, RuleChange

KEPT: Final = 10_000
"""Changes that are kept: of all rules together, and of all placements."""

Change: TypeAlias = RuleChange | PlacementChange


def store(session: Session, made: Change) -> None:
    """Store a change, and delete those of its table that are too old to be kept."""
    session.add(made)
    session.flush()
    table = type(made)
    session.execute(delete(table).where(table.id <= made.id - KEPT))


def described(change: Change) -> dict[str, Any]:
    """Return a change as JSON, without what it is a change of."""
    return {
        "version": change.version,
        "change": change.change,
        "settings": change.settings,
        "by": change.changed_by,
        "at": change.at.isoformat(),
    }
