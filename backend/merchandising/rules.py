"""The rows of rules: store, list and remove them, and what was changed when.

`backend.api` checks their settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.database import clock
from backend.database.locks import Lock, hold
from backend.database.models import RuleChange, RuleRow
from backend.errors import InvalidRule, UnknownRule
from backend.merchandising import changes

MOST: Final = 500
"""Rules of one shop: a process holds all of them in memory."""


def read(session: Session, id: int | None) -> RuleRow:
    """Return a rule; raises UnknownRule."""
    found = None if id is None else session.get(RuleRow, id)
    if found is None:
        raise UnknownRule("there is no rule with this id")
    return found


def listed(session: Session, *, after_id: int = 0, limit: int = MOST) -> list[RuleRow]:
    """Return rules by id."""
    query = select(RuleRow).where(RuleRow.id > after_id).order_by(RuleRow.id).limit(limit)
    return list(session.scalars(query))


def lock(session: Session) -> None:
    """Wait until no other transaction changes rules.

    Otherwise a change could be committed after one with a greater number, and would not be noticed.
    """
    hold(session, Lock.RULES)


def create(session: Session, settings: Mapping[str, Any], *, by: str | None) -> RuleRow:
    """Store a new rule; raises InvalidRule when there are too many."""
    lock(session)
    if (session.scalar(select(func.count()).select_from(RuleRow)) or 0) >= MOST:
        raise InvalidRule(f"there are {MOST} rules, and more are not allowed")
    now = clock.now(session)
    made = RuleRow(settings=dict(settings), version=1, created_at=now, updated_at=now)
    session.add(made)
    session.flush()
    _note(session, made, "created", by)
    return made


def replace(
    session: Session, id: int | None, settings: Mapping[str, Any], *, by: str | None
) -> RuleRow:
    """Give a rule other settings; its version rises by 1 if they differ. Raises UnknownRule."""
    lock(session)
    found = read(session, id)
    if found.settings != settings:
        found.settings, found.version = dict(settings), found.version + 1
        found.updated_at = clock.now(session)
        _note(session, found, "replaced", by)
    return found


def remove(session: Session, id: int | None, *, by: str | None) -> None:
    """Remove a rule; its history stays. Raises UnknownRule."""
    lock(session)
    found = read(session, id)
    found.version += 1
    _note(session, found, "removed", by)
    session.delete(found)


def history(session: Session, id: int | None = None, *, limit: int = 100) -> list[RuleChange]:
    """Return the changes of a rule, or of all, the newest first.

    Raises UnknownRule for a rule that never was.
    """
    query = select(RuleChange).order_by(RuleChange.id.desc()).limit(limit)
    found = list(session.scalars(query if id is None else query.where(RuleChange.rule_id == id)))
    if not found and id is not None:
        raise UnknownRule("there is no rule with this id")
    return found


def _note(session: Session, rule: RuleRow, change: str, by: str | None) -> None:
    made = RuleChange(
        rule_id=rule.id,
        version=rule.version,
        change=change,
        settings=rule.settings,
        changed_by=by,
        at=clock.now(session),
    )
    changes.store(session, made)


def describe(rule: RuleRow) -> dict[str, Any]:
    """Return a rule as JSON."""
    return {
        "id": rule.id,
        "version": rule.version,
        "settings": rule.settings,
        "created_at": rule.created_at.isoformat(),
        "updated_at": rule.updated_at.isoformat(),
    }


def describe_change(change: RuleChange) -> dict[str, Any]:
    """Return a change as JSON."""
    return {"rule": change.rule_id, **changes.described(change)}
