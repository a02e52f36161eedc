"""Write the rows of a feed that differ from what is stored in fields alone; the image stays."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.catalogue.import_rows import CheckedRow
from backend.catalogue.save_products import PRODUCTS
from backend.database.many_rows import is_among, row_version, update_by_id
from backend.database.models import utcnow


class FieldChange(NamedTuple):
    """A row of a feed that says something else than its product in some fields."""

    product_id: int
    version: str | None  # of the stored row that was compared; None on SQLite
    fields: Sequence[str]
    row: CheckedRow


def stand(session: Session, changes: Sequence[FieldChange]) -> bool:
    """Lock the products, and tell whether they are as they were when they were compared.

    On SQLite the caller knows that nobody has committed since.
    """
    compared = {it.product_id: it.version for it in changes if it.version is not None}
    if not compared:
        return True
    locked = (
        select(PRODUCTS.c.id, row_version(session, PRODUCTS))
        .where(is_among(session, PRODUCTS.c.id, sorted(compared)))
        .order_by(PRODUCTS.c.id)
        .with_for_update(key_share=True)
    )
    return {row[0]: row[1] for row in session.execute(locked)} == compared


def write_fields(session: Session, changes: Sequence[FieldChange]) -> None:
    """Write the fields that differ; to request the work is left to `save_products`.

    The caller has made sure that the products are as they were when they were compared. Rows that
    name the same fields are one statement, which names those in which any of them differs.
    """
    now = utcnow()
    alike: dict[tuple[str, ...], list[FieldChange]] = {}
    for change in changes:
        alike.setdefault(tuple(change.row.draft.values), []).append(change)
    for group in alike.values():
        differing = sorted({name for change in group for name in change.fields})
        rows = [_row(change, differing, now) for change in group]
        update_by_id(session, PRODUCTS, rows)


def _row(change: FieldChange, differing: Sequence[str], now: datetime) -> dict[str, Any]:
    values = change.row.draft.values
    return {"b_id": change.product_id, "updated_at": now} | {
        name: values[name] for name in differing
    }
