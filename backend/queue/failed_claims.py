"""Record why claimed work failed: until it is tried again, or permanently, in quarantine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import and_, bindparam, case, func, literal, null, select, update
from sqlalchemy.orm import Session

from backend.database import clock
from backend.database.models import Product
from backend.queue.entries import (
    IMAGE_ERRORS,
    NO_FURTHER,
    NOT_AWAITED,
    RETRY_AT,
    SAME_IMAGE,
    Claimed,
    Entry,
    FurtherImages,
    Stage,
    update_and_count,
    update_claimed,
    waits_for,
)

EXHAUSTED: Final = "decoder-died: the process died or gave up each time it embedded this image"


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
        "image_retry_at": RETRY_AT,
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
