"""Products: save, patch, remove, get. The same path for REST and import.

Every function works inside the caller's transaction and asks the queue, there and then, for what
its change makes necessary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, TypeAlias, cast

from sqlalchemy import ColumnElement, Table, bindparam, select, update
from sqlalchemy.orm import Session

from backend import queue
from backend.catalogue.drafts import FIELDS, NO_IMAGE, SKU, Draft, ImageRef, parse
from backend.catalogue.filter_sql import conditions
from backend.database.models import Product, utcnow
from backend.database.upsert import upsert
from backend.errors import InvalidProduct, UnknownProduct
from backend.filters import Where

__all__ = [
    "FIELDS",
    "NO_IMAGE",
    "SKU",
    "Draft",
    "ImageRef",
    "Outcome",
    "Saved",
    "get",
    "page",
    "parse",
    "patch",
    "remove",
    "save",
    "set_image",
]

ProductRow: TypeAlias = Mapping[str, Any]
PRODUCTS: Final = cast("Table", Product.__table__)
PAYLOAD: Final = tuple(name for name in FIELDS if name != "image_uri")
IMAGE: Final = ("image_uri", "image_digest", "image_bytes", "image_mtime_ns")
BLANK: Final[ProductRow] = dict.fromkeys((*PAYLOAD, *IMAGE)) | {
    "in_stock": True,
    "attributes": {},
}
"""What a product holds of which nothing was said."""


class Outcome(StrEnum):
    """What became of a draft."""

    ADDED = "added"  # also a removed product that came back
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    REJECTED = "rejected"


@dataclass(frozen=True, kw_only=True)
class Saved:
    """What became of drafts, each at its position, and the id of every sku that was stored."""

    outcomes: tuple[Outcome, ...]
    reasons: Mapping[int, str]  # position -> why it was rejected
    ids: Mapping[str, int]

    def count(self, outcome: Outcome) -> int:
        """Count the drafts that ended so."""
        return self.outcomes.count(outcome)


def save(
    session: Session, drafts: Sequence[Draft], *, priority: int, complete: bool = True
) -> Saved:
    """Write products and request what follows from it, in a constant number of statements.

    A complete draft clears the fields that it does not name; otherwise they stay, and attributes
    are merged. Either way an image that is not named stays, also through a removal. What equals
    the stored row requests nothing. Of several drafts with one sku the last is written and the
    earlier ones are rejected, as is a `file:` URI that nobody has looked at: REST must not point
    at the host's own files.
    """
    plan = _Plan(drafts=drafts, complete=complete, now=utcnow())
    last = {draft.sku: position for position, draft in enumerate(drafts)}
    for position, draft in enumerate(drafts):
        if last[draft.sku] != position:
            plan.reject(position, "the same sku comes again later")
    pending = list(last.values())
    while pending:  # again only for those that another writer inserted in between
        pending = _save_once(session, plan, pending)
    for image, ids in ((True, plan.new_images), (False, plan.new_payloads)):
        queue.request(session, sorted(ids), image=image, priority=priority)
    return Saved(
        outcomes=tuple(plan.outcomes[position] for position in range(len(drafts))),
        reasons=plan.reasons,
        ids=plan.ids,
    )


def patch(session: Session, sku: str, changes: Mapping[str, Any], *, priority: int) -> Product:
    """Change the fields that are named; an attribute of None is dropped.

    Raises UnknownProduct, and InvalidProduct as `parse` does.
    """
    return _edit(session, parse({**changes, "sku": sku}), priority=priority)


def set_image(session: Session, sku: str, image: ImageRef, *, priority: int) -> Product:
    """Give a product another image, or none (NO_IMAGE). Raises UnknownProduct."""
    return _edit(session, Draft(sku=sku, values={}, image=image), priority=priority)


def remove(session: Session, skus: Sequence[str], *, priority: int) -> tuple[int, ...]:
    """Remove products and return the ids of those that were there; their rows stay.

    A sku that is unknown or removed already is passed over.
    """
    there = (
        select(Product.id)
        .where(Product.sku.in_(skus), Product.removed_at.is_(None))
        .order_by(Product.id)
        .with_for_update(key_share=True)
    )
    ids = tuple(session.scalars(there))
    if ids:
        now = utcnow()
        session.execute(
            update(PRODUCTS).where(PRODUCTS.c.id.in_(ids)).values(removed_at=now, updated_at=now)
        )
        queue.request_removal(session, ids, priority=priority)
    return ids


def get(session: Session, sku: str) -> Product:
    """Return a product by its sku. Raises UnknownProduct, for a removed one too."""
    wanted = select(Product).where(Product.sku == sku, Product.removed_at.is_(None))
    product = session.scalar(wanted, execution_options={"populate_existing": True})
    if product is None:
        raise UnknownProduct(f"there is no product with the sku {sku!r}", sku=sku)
    return product


def page(
    session: Session,
    *,
    limit: int,
    after_id: int = 0,
    where: Where | None = None,
    also: Sequence[ColumnElement[bool]] = (),
) -> Sequence[Product]:
    """Return up to `limit` products with a greater id than `after_id`, in id order.

    Raises InvalidFilter for a field or value in `where` that cannot be compared.
    """
    wanted = (
        select(Product)
        .where(Product.id > after_id, Product.removed_at.is_(None), *also)
        .where(*conditions(session, where or {}))
        .order_by(Product.id)
        .limit(limit)
    )
    return session.scalars(wanted).all()


# --- how a chunk is compared and written -----------------------------------------------------


@dataclass(kw_only=True)
class _Plan:
    """A chunk of drafts on its way into the database."""

    drafts: Sequence[Draft]
    complete: bool
    now: datetime
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)
    ids: dict[str, int] = field(default_factory=dict)
    new_images: set[int] = field(default_factory=set)
    new_payloads: set[int] = field(default_factory=set)

    def reject(self, position: int, reason: str) -> None:
        self.outcomes[position] = Outcome.REJECTED
        self.reasons[position] = reason

    def update(self, position: int, stored: ProductRow) -> dict[str, Any] | None:
        """Compare a draft with its row, note what follows, and return the row to write, if any."""
        draft = self.drafts[position]
        row = _merged(draft, stored, complete=self.complete)
        self.ids[draft.sku] = stored["id"]
        revived = stored["removed_at"] is not None
        changed = True
        if revived or _image_differs(stored, row):
            self.new_images.add(stored["id"])
        elif _payload_differs(stored, row):
            self.new_payloads.add(stored["id"])
        else:
            changed = False
        self.outcomes[position] = (
            Outcome.ADDED if revived else Outcome.CHANGED if changed else Outcome.UNCHANGED
        )
        if not changed and all(stored[name] == row[name] for name in IMAGE):
            return None
        at = self.now if changed else stored["updated_at"]
        return {**row, "b_id": stored["id"], "removed_at": None, "updated_at": at}

    def insert(self, position: int) -> dict[str, Any]:
        """Return the row of a draft that has none yet."""
        draft = self.drafts[position]
        row = _merged(draft, BLANK, complete=True)
        return {**row, "sku": draft.sku, "created_at": self.now, "updated_at": self.now}


def _save_once(session: Session, plan: _Plan, positions: Sequence[int]) -> list[int]:
    """Write the drafts at these positions; return those that another writer was first to insert."""
    stored = _stored(session, [plan.drafts[position].sku for position in positions])
    updates, missing = [], {}
    for position in positions:
        draft = plan.drafts[position]
        row = stored.get(draft.sku)
        if _is_hearsay_file(draft.image, row):
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
    """Insert rows; return the ids by sku of those that nobody else had inserted by now."""
    if not rows:
        return {}
    statement = upsert(session, PRODUCTS).on_conflict_do_nothing(index_elements=["sku"])
    inserted = session.execute(statement.returning(PRODUCTS.c.sku, PRODUCTS.c.id), rows)
    return {row.sku: row.id for row in inserted}


def _edit(session: Session, draft: Draft, *, priority: int) -> Product:
    locked = select(Product.id).where(Product.sku == draft.sku, Product.removed_at.is_(None))
    if session.scalar(locked.with_for_update(key_share=True)) is None:
        raise UnknownProduct(f"there is no product with the sku {draft.sku!r}", sku=draft.sku)
    saved = save(session, [draft], priority=priority, complete=False)
    for reason in saved.reasons.values():
        name, _, why = reason.partition(": ")
        raise InvalidProduct(reason, errors=[{"field": name, "reason": why}])
    return get(session, draft.sku)


# --- what a draft makes of a row -------------------------------------------------------------


def _merged(draft: Draft, stored: ProductRow, *, complete: bool) -> dict[str, Any]:
    """Lay a draft over a row: what the row shall be."""
    under = BLANK if complete else stored
    row = {name: draft.values.get(name, under[name]) for name in PAYLOAD}
    given = draft.values.get("attributes", {})
    kept = under["attributes"] if given is not None else {}
    row["attributes"] = {k: v for k, v in {**kept, **(given or {})}.items() if v is not None}
    return row | _merged_image(draft.image, stored)


def _merged_image(image: ImageRef | None, stored: ProductRow) -> dict[str, Any]:
    """Return the image columns; hearsay of the same place adds nothing."""
    if image is None or (image.uri == stored["image_uri"] and image.bytes is None):
        return {name: stored[name] for name in IMAGE}
    return dict(zip(IMAGE, (image.uri, image.digest, image.bytes, image.mtime_ns), strict=True))


def _image_differs(stored: ProductRow, row: ProductRow) -> bool:
    """Tell whether there may be another picture, or the same one elsewhere.

    A file that was only touched is the same picture in the same place.
    """
    if stored["image_uri"] != row["image_uri"]:
        return True
    if stored["image_digest"] is not None or row["image_digest"] is not None:
        return bool(stored["image_digest"] != row["image_digest"])
    return any(stored[name] != row[name] for name in IMAGE)


def _payload_differs(stored: ProductRow, row: ProductRow) -> bool:
    """Tell whether a field differs; True and 1 in the open attributes do, unlike in Python."""
    return any(stored[name] != row[name] for name in PAYLOAD) or (
        repr(sorted(stored["attributes"].items())) != repr(sorted(row["attributes"].items()))
    )


def _is_hearsay_file(image: ImageRef | None, stored: ProductRow | None) -> bool:
    if image is None or image.bytes is not None or not (image.uri or "").startswith("file:"):
        return False
    return stored is None or stored["image_uri"] != image.uri
