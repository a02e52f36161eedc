"""The rows of placements: store, list and remove them.

`backend.api` checks their settings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.database import clock
from backend.database.models import Placement
from backend.errors import InvalidPlacement, UnknownPlacement

NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
MOST: Final = 200
"""Placements of one shop."""


def read(session: Session, name: str) -> Placement:
    """Return a placement; raises UnknownPlacement."""
    found = session.get(Placement, name) if re.fullmatch(NAME, name) else None
    if found is None:
        raise UnknownPlacement(f"there is no placement {name[:80]!r}")
    return found


def listed(session: Session) -> list[Placement]:
    """Return all placements by name."""
    return list(session.scalars(select(Placement).order_by(Placement.name)))


def put(session: Session, name: str, settings: Mapping[str, Any]) -> tuple[Placement, bool]:
    """Store a placement, and tell whether it is new; its version rises by 1 with each change.

    Raises InvalidPlacement for a wrong name, and when there are too many.
    """
    if not re.fullmatch(NAME, name):
        raise InvalidPlacement("the name of a placement has 1 to 64 of: letters, digits, . _ -")
    found = session.get(Placement, name, with_for_update=True)
    is_new = found is None
    if found is None:
        if len(listed(session)) >= MOST:
            raise InvalidPlacement(f"there may be {MOST} placements")
        found = Placement(name=name, settings=dict(settings), version=1)
        session.add(found)
    elif found.settings != settings:
        found.settings, found.version = dict(settings), found.version + 1
    found.updated_at = clock.now(session)
    session.flush()
    return found, is_new


def remove(session: Session, name: str) -> None:
    """Remove a placement; raises UnknownPlacement."""
    session.delete(read(session, name))


def describe(placement: Placement) -> dict[str, Any]:
    """Return a placement as JSON."""
    return {
        "name": placement.name,
        "version": placement.version,
        "settings": placement.settings,
        "updated_at": placement.updated_at.isoformat(),
    }
