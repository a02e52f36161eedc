"""Record that claimed work is done: embedded, indexed, or sent back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import BindParameter, bindparam, case, func, null, select
from sqlalchemy.orm import Session

from backend.database import clock
from backend.queue import requesting
from backend.queue.entries import (
    IMAGE_ERRORS,
    IS_OUR_CLAIM,
    NO_FURTHER,
    RETRY_AT,
    Claimed,
    Entry,
    FurtherImages,
    update_claimed,
)

FURTHER_MAY_BE: Final = case(
    (func.coalesce(Entry.more_points, 0) >= bindparam("b_more_points"), Entry.more_points),
    else_=bindparam("b_more_points"),
)
"""How many points beyond the first the index may hold once so many are written. The number is in
SQL before the first of them is in the index, so that a removal finds them whoever dies between."""


def still_ours(session: Session, generation_id: int, rows: Sequence[Claimed]) -> set[Claimed]:
    """Return the rows that nobody has claimed or begun anew since, and lock them."""
    if not rows:
        return set()
    ids = [row.product_id for row in rows]
    locked = session.execute(
        select(Entry.product_id, Entry.claim)
        .where(Entry.generation_id == generation_id, Entry.product_id.in_(ids))
        .order_by(Entry.product_id)
        .with_for_update()
    )
    claims = {id_: claim for id_, claim in locked}  # noqa: C416 - dict() takes no rows
    return {row for row in rows if claims.get(row.product_id) == row.claim}


def settle_embedded(
    session: Session,
    generation_id: int,
    embedded: Sequence[tuple[Claimed, str]],
    *,
    further: Mapping[Claimed, FurtherImages] | None = None,
    awaited: Mapping[Claimed, datetime] | None = None,
    now: datetime | None = None,
) -> int:
    """Record that the vector of each (row, image digest) is stored; return how many rows changed.

    `further` says what became of the other images of those rows that have any, `awaited` when to
    look again for one that is still to come. Rows that another worker has claimed since do not
    change. If the product was removed meanwhile, `embedded` is already greater than what was
    claimed; that value stays.
    """
    if not embedded:
        return 0
    now = now or clock.now(session)
    images, awaited = further or {}, awaited or {}
    parameters = [
        {
            "b_digest": digest,
            **_further(images.get(row, NO_FURTHER)),
            **_awaiting(row, awaited.get(row), now),
        }
        for row, digest in embedded
    ]
    rows = [row for row, _ in embedded]
    return update_claimed(session, generation_id, rows, _embedded(now), extra=parameters)


def _embedded(now: datetime) -> dict[str, Any]:
    """Return the changes of a row that is embedded, with the parameters of `settle_embedded`."""
    claimed: BindParameter[int] = bindparam("b_wanted")
    return {
        "embedded": case((Entry.embedded > claimed, Entry.embedded), else_=claimed),
        "embedded_digest": bindparam("b_digest"),
        "more_digests": bindparam("b_more_digests", type_=Entry.more_digests.type),
        "more_points": FURTHER_MAY_BE,
        "image_errors": IMAGE_ERRORS,
        "failures": 0,
        "last_error": null(),
        "due_at": now,
        "image_awaited_since": bindparam("b_since", type_=Entry.image_awaited_since.type),
        "image_retry_at": RETRY_AT,
    }


def _further(images: FurtherImages) -> dict[str, Any]:
    return {
        "b_more_digests": list(images.digests) or None,
        "b_more_points": len(images.digests),
        "b_image_errors": dict(images.errors) or None,
    }


def _awaiting(row: Claimed, look_again: datetime | None, now: datetime) -> dict[str, Any]:
    """Return since when an image of the row is awaited; a row without one waits for none."""
    since = (row.image_awaited_since or now) if look_again else None
    return {"b_retry_at": look_again, "b_since": since}


def settle_indexed(
    session: Session,
    generation_id: int,
    applied: Sequence[tuple[Claimed, bool]],
    *,
    now: datetime | None = None,
) -> int:
    """Record what was written to the index, as (row, whether it holds a point now).

    Returns how many claims were still ours. The other rows are requested again, since a late
    writer may have written what a newer claim deleted. A row that was requested meanwhile waits
    from now on, not since its first request: else a product that is edited all the time would look
    like one that no worker takes. An error of the index is cleared; one of the image, which
    `failures` still counts, stays.
    """
    if not applied:
        return 0
    now = now or clock.now(session)
    settled = 0
    for has_point in (True, False):
        rows = [row for row, point in applied if point is has_point]
        settled += update_claimed(
            session,
            generation_id,
            rows,
            {
                "indexed": bindparam("b_wanted"),
                "indexed_claim": Entry.claim if has_point else null(),
                "more_points": bindparam("b_more_points") if has_point else null(),
                "requested_at": case(
                    (Entry.wanted > bindparam("b_wanted"), now), else_=Entry.requested_at
                ),
                "due_at": case((Entry.wanted > bindparam("b_wanted"), now), else_=null()),
                "last_error": case((Entry.failures == 0, null()), else_=Entry.last_error),
            },
            extra=[{"b_more_points": len(row.more_digests) or None} for row in rows],
        )
    if settled < len(applied):
        request_late(session, generation_id, [row for row, _ in applied], now)
    return settled


def request_late(
    session: Session, generation_id: int, rows: Sequence[Claimed], now: datetime
) -> None:
    """Request those of the rows that another worker has claimed since.

    Their points beyond the first, which that worker may have deleted, may be there again.
    """
    changes = requesting.changes_to_reapply(now) | {"more_points": FURTHER_MAY_BE}
    written = [{"b_more_points": len(row.more_digests)} for row in rows]
    update_claimed(session, generation_id, rows, changes, extra=written, where=~IS_OUR_CLAIM)


def send_back(
    session: Session, generation_id: int, rows: Sequence[Claimed], *, now: datetime | None = None
) -> int:
    """Send rows back to the embed stage, because their vector is not stored; return how many.

    A row that was requested meanwhile keeps its numbers: that may be a removal, which needs no
    vector.
    """
    if not rows:
        return 0
    newer = Entry.wanted > bindparam("b_wanted")
    values = {
        "embedded": case((newer, Entry.embedded), else_=0),
        "embedded_digest": case((newer, Entry.embedded_digest), else_=null()),
        "more_digests": case((newer, Entry.more_digests), else_=null()),
        "due_at": now or clock.now(session),
    }
    return update_claimed(session, generation_id, rows, values)
