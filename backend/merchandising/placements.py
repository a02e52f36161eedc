"""The rows of placements: store, list and remove them, and what was changed when.

`backend.api` checks their settings.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from sqlalchemy import Text, bindparam, cast, select
from sqlalchemy.orm import Session

from backend.database import clock
from backend.database.locks import Lock, hold
from backend.database.models import Placement, PlacementChange
from backend.database.reader import Reader
from backend.errors import InvalidPlacement, UnknownPlacement
from backend.merchandising import changes

NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_NAME_RULE: Final = (
    "the name of a placement has 1 to 64 letters, digits, . _ or -, the first a letter or digit"
)
MOST: Final = 200
"""Placements of one shop."""


def read(session: Session, name: str) -> Placement:
    """Return a placement; raises UnknownPlacement."""
    found = session.get(Placement, name) if re.fullmatch(NAME, name) else None
    if found is None:
        raise unknown(name)
    return found


def unknown(name: str) -> UnknownPlacement:
    """Return the error that there is no such placement."""
    return UnknownPlacement(f"there is no placement {name[:80]!r}")


class Stored(NamedTuple):
    """What lists need of a placement; `settings` as JSON."""

    version: int
    settings: str


def find(connection: Reader, name: str) -> Stored | None:
    """Return a placement as it is now; None: it is not there."""
    rows = connection.rows(_STORED, {"name": name}) if re.fullmatch(NAME, name) else []
    return Stored(*rows[0]) if rows else None


_COLUMNS: Final[list[Any]] = [Placement.version, cast(Placement.settings, Text).label("settings")]
_STORED: Final = select(*_COLUMNS).where(Placement.name == bindparam("name"))


def listed(session: Session) -> list[Placement]:
    """Return all placements by name."""
    return list(session.scalars(select(Placement).order_by(Placement.name)))


def put(
    session: Session, name: str, settings: Mapping[str, Any], *, by: str | None = None
) -> tuple[Placement, bool]:
    """Store a placement, and tell whether it is new; its version rises by 1 with each change.

    `by` is who does so. Raises InvalidPlacement for a wrong name, and when there are too many.
    """
    if not re.fullmatch(NAME, name):
        raise InvalidPlacement(_NAME_RULE, errors=[{"parameter": "name", "reason": _NAME_RULE}])
    hold(session, Lock.NAMED)
    found = session.get(Placement, name, with_for_update=True)
    is_new, is_changed = found is None, found is None or found.settings != settings
    if found is None:
        if len(listed(session)) >= MOST:
            raise InvalidPlacement(f"there are {MOST} placements, and more are not allowed")
        found = Placement(name=name, settings=dict(settings), version=1)
        session.add(found)
    elif is_changed:
        found.settings, found.version = dict(settings), found.version + 1
    found.updated_at = clock.now(session)
    session.flush()
    if is_changed:
        _note(session, found, "created" if is_new else "replaced", by)
    return found, is_new


def remove(session: Session, name: str, *, by: str | None = None) -> None:
    """Remove a placement; its history stays. Raises UnknownPlacement."""
    found = read(session, name)
    _note(session, found, "removed", by)
    session.delete(found)


def revision(session: Session, name: str) -> str | None:
    """Return what stands for a placement as it is now; None: it is not there.

    Until the transaction ends, nobody else changes a placement.
    """
    hold(session, Lock.NAMED)
    found = session.get(Placement, name, with_for_update=True)
    return None if found is None else revision_of(found)


def revision_of(placement: Placement) -> str:
    """Return what stands for a version of a placement, also if it was removed and made anew."""
    text = json.dumps([placement.version, placement.settings], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def history(session: Session, name: str, *, limit: int = 100) -> list[PlacementChange]:
    """Return the changes of a placement, the newest first.

    Raises UnknownPlacement if there are none, and no such placement.
    """
    query = select(PlacementChange).where(PlacementChange.name == name)
    found = list(session.scalars(query.order_by(PlacementChange.id.desc()).limit(limit)))
    if not found:
        read(session, name)
    return found


def _note(session: Session, placement: Placement, change: str, by: str | None) -> None:
    made = PlacementChange(
        name=placement.name,
        version=placement.version,
        change=change,
        settings=placement.settings,
        changed_by=by,
        at=clock.now(session),
    )
    changes.store(session, made)


def describe(placement: Placement) -> dict[str, Any]:
    """Return a placement as JSON."""
    return {
        "name": placement.name,
        "version": placement.version,
        "settings": placement.settings,
        "updated_at": placement.updated_at.isoformat(),
    }


def describe_change(change: PlacementChange) -> dict[str, Any]:
    """Return a change as JSON."""
    return {"name": change.name, **changes.described(change)}
