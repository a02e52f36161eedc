"""Record the outcome of claimed rows: embedded, indexed, sent back, failed, quarantined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import BindParameter, and_, bindparam, case, func, literal, null, select, update
from sqlalchemy.orm import Session

from backend.database import clock
from backend.database.models import Product
from backend.queue import requesting
from backend.queue.entries import (
    IS_OUR_CLAIM,
    NOT_AWAITED,
    Claimed,
    Entry,
    FurtherImages,
    Stage,
    update_and_count,
    update_claimed,
    waits_for,
)

EXHAUSTED: Final = "decoder-died: the process died or gave up each time it embedded this image"

NO_FURTHER: Final = FurtherImages()

FURTHER_MAY_BE: Final = case(
    (func.coalesce(Entry.more_points, 0) >= bindparam("b_more_points"), Entry.more_points),
    else_=bindparam("b_more_points"),
)
"""How many points beyond the first the index may hold once so many are written. The number is in
SQL before the first of them is in the index, so that a removal finds them whoever dies between."""

MOMENT: Final = Entry.due_at.type
IMAGE_ERRORS: Final = bindparam("b_image_errors", type_=Entry.image_errors.type)

SAME_IMAGE: Final = Entry.failures > 0
"""Whether the image is still that of our claim: the claim raised the failures, and only a request
with another image, or a removal, resets them."""


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
    images = further or {}
    claimed: BindParameter[int] = bindparam("b_wanted")
    return update_claimed(
        session,
        generation_id,
        [row for row, _ in embedded],
        {
            "embedded": case((Entry.embedded > claimed, Entry.embedded), else_=claimed),
            "embedded_digest": bindparam("b_digest"),
            "more_digests": bindparam("b_more_digests", type_=Entry.more_digests.type),
            "more_points": FURTHER_MAY_BE,
            "image_errors": bindparam("b_image_errors", type_=Entry.image_errors.type),
            "failures": 0,
            "last_error": null(),
            "due_at": now,
            "image_awaited_since": bindparam("b_since", type_=MOMENT),
            "image_retry_at": bindparam("b_retry_at", type_=MOMENT),
        },
        extra=[
            {
                "b_digest": digest,
                **_further(images.get(row, NO_FURTHER)),
                "b_retry_at": (look_again := awaited.get(row) if awaited else None),
                "b_since": look_again and (row.image_awaited_since or now),
            }
            for row, digest in embedded
        ],
    )


def _further(images: FurtherImages) -> dict[str, Any]:
    return {
        "b_more_digests": list(images.digests) or None,
        "b_more_points": len(images.digests),
        "b_image_errors": dict(images.errors) or None,
    }


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


def fail(
    session: Session,
    generation_id: int,
    failed: Sequence[tuple[Claimed, str]],
    *,
    retry_at: datetime | None = None,
    further: Mapping[Claimed, FurtherImages] | None = None,
    now: datetime | None = None,
) -> int:
    """Record why rows failed in the embed stage: until `retry_at`, or permanently.

    `further` holds the errors of their single images.
    A product whose new image failed permanently is listed in the quarantine; if it has an older
    vector, it is indexed with that. If the shop has sent another image meanwhile, or removed the
    product, the error is dropped and the row is due at once.
    """
    if not failed:
        return 0
    now = now or clock.now(session)
    if retry_at is not None:
        outcome: dict[str, Any] = {"due_at": retry_at, "last_error": bindparam("b_error")}
    else:
        outcome = _quarantined(bindparam("b_error"), now) | {"image_errors": IMAGE_ERRORS}
    parameters = [{"b_error": reason, **_errors_of(row, further)} for row, reason in failed]
    rows = [row for row, _ in failed]
    return _settle_failed(session, generation_id, rows, outcome, parameters, now)


def await_image(
    session: Session,
    generation_id: int,
    awaited: Sequence[tuple[Claimed, str, datetime]],
    *,
    further: Mapping[Claimed, FurtherImages] | None = None,
    now: datetime | None = None,
) -> int:
    """Record that images are not there yet, as (row, reason, when to look again).

    Until then the row is at rest like one in quarantine, with its last good vector if it has one;
    `wake_awaited` requests it again. The product counts as pending.
    """
    if not awaited:
        return 0
    now = now or clock.now(session)
    outcome = _quarantined(bindparam("b_error"), now) | {
        "image_errors": IMAGE_ERRORS,
        "image_awaited_since": func.coalesce(Entry.image_awaited_since, now),
        "image_retry_at": bindparam("b_retry_at", type_=MOMENT),
    }
    parameters = [
        {"b_error": reason, "b_retry_at": retry_at, **_errors_of(row, further)}
        for row, reason, retry_at in awaited
    ]
    rows = [row for row, _, _ in awaited]
    return _settle_failed(session, generation_id, rows, outcome, parameters, now)


def _errors_of(
    row: Claimed, further: Mapping[Claimed, FurtherImages] | None
) -> dict[str, dict[str, str] | None]:
    return {"b_image_errors": dict((further or {}).get(row, NO_FURTHER).errors) or None}


def _settle_failed(
    session: Session,
    generation_id: int,
    rows: Sequence[Claimed],
    outcome: dict[str, Any],
    parameters: Sequence[dict[str, Any]],
    now: datetime,
) -> int:
    """Record an outcome, unless the shop has sent another image: then the row is due at once."""
    values = {
        key: case((SAME_IMAGE, value), else_=getattr(Entry, key)) for key, value in outcome.items()
    }
    values["due_at"] = case((SAME_IMAGE, outcome["due_at"]), else_=now)
    return update_claimed(session, generation_id, rows, values, extra=parameters)


def fail_apply(
    session: Session,
    generation_id: int,
    failed: Sequence[tuple[Claimed, str]],
    *,
    retry_at: datetime | None = None,
    now: datetime | None = None,
) -> int:
    """Record why rows could not be written to the index: until `retry_at`, or permanently."""
    rows = [row for row, _ in failed]
    if retry_at is not None:
        return update_claimed(session, generation_id, rows, {"due_at": retry_at})
    newer = Entry.wanted > bindparam("b_wanted")
    return update_claimed(
        session,
        generation_id,
        rows,
        {
            "due_at": case((newer, now or clock.now(session)), else_=null()),
            "last_error": case((newer, Entry.last_error), else_=bindparam("b_error")),
        },
        extra=[{"b_error": reason} for _, reason in failed],
    )


def quarantine_exhausted(
    session: Session, generation_id: int, *, max_failures: int, now: datetime | None = None
) -> int:
    """Quarantine rows that have used all attempts in processes that died; return how many.

    Rows of products with several images stay: which of the images it was has to be found out.
    """
    now = now or clock.now(session)
    several = select(Product.id).where(
        Product.id == Entry.product_id, Product.more_images.is_not(None)
    )
    exhausted = and_(
        Entry.generation_id == generation_id,
        Entry.due_at <= now,
        waits_for(Stage.EMBED),
        Entry.failures >= max_failures,
        ~several.exists(),
    )
    values = _quarantined(literal(EXHAUSTED), now)
    return update_and_count(session, update(Entry).where(exhausted).values(values))


def _quarantined(reason: Any, now: datetime) -> dict[str, Any]:
    """Return the changes that quarantine a row, with its last good vector if it has one.

    The apply stage comes next where there is a vector to write or a point to delete.
    """
    to_apply = Entry.embedded_digest.is_not(None) | Entry.indexed_claim.is_not(None)
    return {
        "last_error": reason,
        "embedded": case((to_apply, Entry.wanted), else_=Entry.embedded),
        "due_at": case((to_apply, now), else_=null()),
        **NOT_AWAITED,
    }
