"""Save drafts: compare each with its stored row, write what differs, and request the work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, cast

from sqlalchemy import Table, bindparam, delete, select, update
from sqlalchemy.orm import Session

from backend import queue
from backend.catalogue.drafts import Draft
from backend.catalogue.merge import (
    BLANK,
    IMAGE,
    ProductRow,
    image_differs,
    is_unseen_file,
    merged,
    payload_differs,
)
from backend.database.models import Event, Product, utcnow
from backend.database.upsert import upsert

PRODUCTS: Final = cast("Table", Product.__table__)


class Outcome(StrEnum):
    """What became of a draft."""

    ADDED = "added"  # also a removed product that came back
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    REJECTED = "rejected"


@dataclass(frozen=True, kw_only=True)
class Saved:
    """What became of each draft, by position, and the id of every sku that was stored."""

    outcomes: tuple[Outcome, ...]
    reasons: Mapping[int, str]  # position -> why it was rejected
    ids: Mapping[str, int]

    def count(self, outcome: Outcome) -> int:
        """Count the drafts with this outcome."""
        return self.outcomes.count(outcome)


def save(
    session: Session, drafts: Sequence[Draft], *, priority: int, complete: bool = True
) -> Saved:
    """Write products and request their work; the number of SQL statements does not grow with them.

    A complete draft clears the fields that it does not name. Otherwise they stay, and attributes
    are merged. In both cases an image that is not named stays. A product that was removed starts
    blank: nothing of what it was is kept but its row. A draft
    that equals the stored row requests nothing. Of several drafts with one sku the last is written
    and the earlier ones are rejected. A `file:` URI that no import has looked at is rejected too.
    """
    plan = _Plan(drafts=drafts, complete=complete, now=utcnow())
    last = {draft.sku: position for position, draft in enumerate(drafts)}
    for position, draft in enumerate(drafts):
        if last[draft.sku] != position:
            plan.reject(position, "the same sku comes again later")
    pending = list(last.values())
    while pending:  # runs again only for products that another writer has inserted meanwhile
        pending = _save_once(session, plan, pending)
    for image, ids in ((True, plan.new_images), (False, plan.new_payloads)):
        queue.request(session, sorted(ids), image=image, priority=priority)
    _begin_anew(session, sorted(plan.revived), priority=priority)
    return Saved(
        outcomes=tuple(plan.outcomes[position] for position in range(len(drafts))),
        reasons=plan.reasons,
        ids=plan.ids,
    )


@dataclass(kw_only=True)
class _Plan:
    """A chunk of drafts, and what is known so far of each one's outcome."""

    drafts: Sequence[Draft]
    complete: bool
    now: datetime
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)
    ids: dict[str, int] = field(default_factory=dict)
    new_images: set[int] = field(default_factory=set)
    new_payloads: set[int] = field(default_factory=set)
    revived: set[int] = field(default_factory=set)

    def reject(self, position: int, reason: str) -> None:
        self.outcomes[position] = Outcome.REJECTED
        self.reasons[position] = reason

    def update(self, position: int, stored: ProductRow) -> dict[str, Any] | None:
        """Compare a draft with its row and note the outcome; return the row to write, if any."""
        draft = self.drafts[position]
        self.ids[draft.sku] = stored["id"]
        if stored["removed_at"] is not None:
            self.outcomes[position] = Outcome.ADDED
            self.revived.add(stored["id"])
            return {**self._begun(draft), "b_id": stored["id"], "removed_at": None}
        row = merged(draft, stored, complete=self.complete)
        changed = True
        if image_differs(stored, row):
            self.new_images.add(stored["id"])
        elif payload_differs(stored, row):
            self.new_payloads.add(stored["id"])
        else:
            changed = False
        self.outcomes[position] = Outcome.CHANGED if changed else Outcome.UNCHANGED
        if not changed and all(stored[name] == row[name] for name in IMAGE):
            return None
        at = self.now if changed else stored["updated_at"]
        same = {"b_id": stored["id"], "created_at": stored["created_at"], "removed_at": None}
        return {**row, **same, "updated_at": at}

    def insert(self, position: int) -> dict[str, Any]:
        """Return a new row for a draft."""
        draft = self.drafts[position]
        return {**self._begun(draft), "sku": draft.sku}

    def _begun(self, draft: Draft) -> dict[str, Any]:
        """Return the columns of a product that begins now."""
        row = merged(replace(draft, values={**draft.if_new, **draft.values}), BLANK, complete=True)
        return {**row, "created_at": self.now, "updated_at": self.now}


def _save_once(session: Session, plan: _Plan, positions: Sequence[int]) -> list[int]:
    """Write the drafts at these positions; return those that another writer has just inserted."""
    stored = _stored(session, [plan.drafts[position].sku for position in positions])
    updates, missing = [], {}
    for position in positions:
        draft = plan.drafts[position]
        row = stored.get(draft.sku)
        is_live = row is not None and row["removed_at"] is None
        if is_unseen_file(draft.image, row if is_live else None):
            plan.reject(position, "image_uri: a file: URI can only be set by an import")
        elif row is None:
            missing[draft.sku] = position
        else:
            updates.append(plan.update(position, row))
    _update(session, [row for row in updates if row is not None])
    inserted = _insert(session, [plan.insert(position) for position in missing.values()])
    for sku, product_id in inserted.items():
        plan.outcomes[missing.pop(sku)] = Outcome.ADDED
        plan.ids[sku] = product_id
        plan.new_images.add(product_id)
    return list(missing.values())


def _begin_anew(session: Session, ids: Sequence[int], *, priority: int) -> None:
    """Forget what shoppers did with the products before, and void all work on them."""
    if ids:
        session.execute(delete(Event).where(Event.product_id.in_(ids)))
        queue.request_anew(session, ids, priority=priority)


def _stored(session: Session, skus: Sequence[str]) -> dict[str, ProductRow]:
    """Read rows by sku and, on PostgreSQL, lock them, in id order."""
    rows = session.execute(
        select(PRODUCTS)
        .where(PRODUCTS.c.sku.in_(skus))
        .order_by(PRODUCTS.c.id)
        .with_for_update(key_share=True)
    )
    return {row.sku: row._asdict() for row in rows}


def _update(session: Session, rows: list[dict[str, Any]]) -> None:
    if rows:
        rows.sort(key=lambda row: row["b_id"])  # in id order, or two writers deadlock
        session.execute(update(PRODUCTS).where(PRODUCTS.c.id == bindparam("b_id")), rows)


def _insert(session: Session, rows: list[dict[str, Any]]) -> dict[str, int]:
    """Insert rows; return the ids by sku of those that no other writer has inserted before."""
    if not rows:
        return {}
    statement = upsert(session, PRODUCTS).on_conflict_do_nothing(index_elements=["sku"])
    inserted = session.execute(statement.returning(PRODUCTS.c.sku, PRODUCTS.c.id), rows)
    return {row.sku: row.id for row in inserted}
