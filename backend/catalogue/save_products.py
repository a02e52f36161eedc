"""Save drafts: compare each with its stored row, write what differs, and request the work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from itertools import compress
from operator import itemgetter, ne
from typing import Any, Final, cast

from sqlalchemy import Table, delete, select
from sqlalchemy.orm import Session

from backend import queue
from backend.catalogue import product_images
from backend.catalogue.drafts import Draft
from backend.catalogue.merge import (
    BLANK,
    ProductRow,
    images_differ,
    merged,
    merged_images,
    names_unseen_file,
    payload_differs,
)
from backend.catalogue.product_images import Images
from backend.database import clock
from backend.database.many_rows import insert_new, is_among, update_by_id
from backend.database.models import Event, Product, utcnow

PRODUCTS: Final = cast("Table", Product.__table__)
_ATTRIBUTES: Final = "attributes"


class Outcome(StrEnum):
    """The outcome of a draft."""

    ADDED = "added"  # also a removed product that came back
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    REJECTED = "rejected"


@dataclass(frozen=True, kw_only=True)
class Saved:
    """The outcome of each draft, by position, and the id of every sku that was stored."""

    outcomes: tuple[Outcome, ...]
    reasons: Mapping[int, str]  # position -> why it was rejected
    ids: Mapping[str, int]

    def count(self, outcome: Outcome) -> int:
        """Count the drafts with this outcome."""
        return self.outcomes.count(outcome)


def save(
    session: Session,
    drafts: Sequence[Draft],
    *,
    priority: int,
    complete: bool = True,
    is_new: Callable[[str], bool] = lambda _: False,
    changed: Iterable[int] = (),
) -> Saved:
    """Write products and request their work; the number of SQL statements does not grow with them.

    A complete draft clears the fields that it does not name. Otherwise they stay, and attributes
    are merged. In both cases images that are not named stay. A product that was removed starts
    blank. A draft that equals the stored row requests nothing. Of several drafts with one sku the
    last is written and the earlier ones are rejected. A `file:` URI that no import has looked at
    is rejected too. Images beyond the first cost SQL only where there are some.

    A sku for which `is_new` is true is not looked for at first: the caller has just seen that no
    product has or had it. `changed` are the ids of products whose fields the caller has written.
    """
    plan = _Plan(drafts=drafts, complete=complete, is_new=is_new, now=utcnow())
    plan.new_payloads.update(changed)
    last = {draft.sku: position for position, draft in enumerate(drafts)}
    for position, draft in enumerate(drafts):
        if last[draft.sku] != position:
            plan.reject(position, "the same sku comes again later")
    pending = list(last.values())
    while pending:  # runs again only for products that another writer has inserted meanwhile
        pending = _save_once(session, plan, pending)
        plan.is_new = lambda _: False
    now = clock.now(session) if plan.new_images or plan.new_payloads else None
    for image, ids in ((True, plan.new_images), (False, plan.new_payloads)):
        queue.request(session, sorted(ids), image=image, priority=priority, now=now)
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
    is_new: Callable[[str], bool]
    now: datetime
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)
    ids: dict[str, int] = field(default_factory=dict)
    new_images: set[int] = field(default_factory=set)
    new_payloads: set[int] = field(default_factory=set)
    revived: set[int] = field(default_factory=set)
    further: dict[int, Images] = field(default_factory=dict)  # images beyond the first, to write

    def reject(self, position: int, reason: str) -> None:
        self.outcomes[position] = Outcome.REJECTED
        self.reasons[position] = reason

    def update(self, position: int, stored: ProductRow) -> dict[str, Any] | None:
        """Compare a draft with its row and note the outcome; return the row to write, if any."""
        if stored["removed_at"] is not None:
            return self._revive(position, stored)
        draft = self.drafts[position]
        row = self._merged(position, draft, stored, complete=self.complete)
        if row is None:
            return None
        id_ = stored["id"]
        self.ids[draft.sku] = id_
        changed = True
        if images_differ(stored["images"], row["images"]):
            self.new_images.add(id_)
        elif payload_differs(stored, row):
            self.new_payloads.add(id_)
        else:
            changed = False
        self.outcomes[position] = Outcome.CHANGED if changed else Outcome.UNCHANGED
        if not changed and stored["images"] == row["images"]:
            return None
        if stored["images"][1:] != row["images"][1:]:
            self.further[id_] = row["images"][1:]
        at = self.now if changed else stored["updated_at"]
        same = {"b_id": id_, "created_at": stored["created_at"], "removed_at": None}
        return {**_columns(row), **same, "updated_at": at}

    def _revive(self, position: int, stored: ProductRow) -> dict[str, Any] | None:
        """Return the row of a product that was removed and begins anew, None if it is rejected."""
        row, id_ = self._begun(position), stored["id"]
        if row is None:
            return None
        self.ids[self.drafts[position].sku] = id_
        self.outcomes[position] = Outcome.ADDED
        self.revived.add(id_)
        if stored["images"][1:] or row["images"][1:]:
            self.further[id_] = row["images"][1:]
        return {**_columns(row), "b_id": id_, "removed_at": None}

    def insert(self, position: int) -> dict[str, Any] | None:
        """Return a new row for a draft, None if it is rejected."""
        row = self._begun(position)
        if row is not None:
            row = _columns(row)
            row["sku"] = self.drafts[position].sku
        return row

    def _begun(self, position: int) -> dict[str, Any] | None:
        """Return the fields and images of a product that begins now, None if it is rejected."""
        draft = self.drafts[position]
        if draft.if_new:
            draft = replace(draft, values={**draft.if_new, **draft.values})
        row = self._merged(position, draft, BLANK, complete=True)
        if row is not None:
            row["created_at"] = row["updated_at"] = self.now
        return row

    def note_inserted(self, position: int, product_id: int) -> None:
        """Note the id of a draft that was inserted."""
        draft = self.drafts[position]
        self.outcomes[position] = Outcome.ADDED
        self.ids[draft.sku] = product_id
        self.new_images.add(product_id)
        if draft.images and (further := merged_images(draft, ())[1:]):
            self.further[product_id] = further

    def _merged(
        self, position: int, draft: Draft, stored: ProductRow, *, complete: bool
    ) -> dict[str, Any] | None:
        try:
            return merged(draft, stored, complete=complete)
        except ValueError as contradiction:
            self.reject(position, f"images: {contradiction}")
            return None


def _columns(row: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of a product's row."""
    row.update(product_images.columns_of(row.pop("images")))
    return row


def _save_once(session: Session, plan: _Plan, positions: Sequence[int]) -> list[int]:
    """Write the drafts at these positions; return those that another writer has just inserted."""
    skus = (plan.drafts[position].sku for position in positions)
    stored = _stored(session, [sku for sku in skus if not plan.is_new(sku)])
    updates: list[tuple[ProductRow, dict[str, Any]]] = []
    missing = {}
    for position in positions:
        draft = plan.drafts[position]
        row = stored.get(draft.sku)
        is_live = row is not None and row["removed_at"] is None
        if names_unseen_file(draft, row if is_live else None):
            plan.reject(position, "image_uri: a file: URI can only be set by an import")
        elif row is None:
            missing[draft.sku] = position
        elif (changed := plan.update(position, row)) is not None:
            updates.append((row, changed))
    _update(session, updates)
    rows = [row for position in missing.values() if (row := plan.insert(position)) is not None]
    if len(rows) < len(missing):
        missing = {row["sku"]: missing[row["sku"]] for row in rows}
    inserted = insert_new(session, PRODUCTS, "sku", rows)
    for sku, product_id in inserted.items():
        plan.note_inserted(missing.pop(sku), product_id)
    product_images.replace_further(session, plan.further)
    plan.further.clear()
    return list(missing.values())


def _begin_anew(session: Session, ids: Sequence[int], *, priority: int) -> None:
    """Forget what shoppers did with the products before, and void all work on them."""
    if ids:
        session.execute(delete(Event).where(Event.product_id.in_(ids)))
        queue.request_anew(session, ids, priority=priority)


def _stored(session: Session, skus: Sequence[str]) -> dict[str, ProductRow]:
    """Read rows by sku and, on PostgreSQL, lock them, in id order."""
    if not skus:
        return {}
    found = session.execute(
        select(PRODUCTS)
        .where(is_among(session, PRODUCTS.c.sku, skus))
        .order_by(PRODUCTS.c.id)
        .with_for_update(key_share=True)
    )
    names = tuple(found.keys())
    rows: list[dict[str, Any]] = [dict(zip(names, row, strict=True)) for row in found]
    several = [row["id"] for row in rows if row["more_images"]]
    further = product_images.load_further(session, several)
    for row in rows:
        row["images"] = (*product_images.first_in(row), *further.get(row["id"], ()))
    return {row["sku"]: row for row in rows}


def _update(session: Session, changes: Sequence[tuple[ProductRow, dict[str, Any]]]) -> None:
    """Write rows that replace stored ones, in the columns in which any of them differs.

    An index of a column that a statement names is written anew, even where the value stays.
    """
    if not changes:
        return
    names = tuple(name for name in changes[0][1] if name not in ("b_id", _ATTRIBUTES))
    take = itemgetter(*names)
    differing: set[str] = set()
    for stored, row in changes:
        differing.update(compress(names, map(ne, take(stored), take(row))))
    if any(stored[_ATTRIBUTES] or row[_ATTRIBUTES] for stored, row in changes):
        differing.add(_ATTRIBUTES)  # in which True equals 1 for Python
    kept = ("b_id", "updated_at", *sorted(differing - {"updated_at"}))
    rows = [{name: row[name] for name in kept} for _, row in changes]
    rows.sort(key=lambda row: row["b_id"])  # in id order, or two writers deadlock
    update_by_id(session, PRODUCTS, rows)
