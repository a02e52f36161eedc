"""Record what became of claimed rows: embedded, indexed, sent back, failed, quarantined."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import BindParameter, and_, bindparam, case, func, literal, null, select, update
from sqlalchemy.orm import Session

from backend.database.models import utcnow
from backend.queue import requesting
from backend.queue.entries import (
    IS_OUR_CLAIM,
    NOT_AWAITED,
    Claimed,
    Entry,
    Stage,
    update_and_count,
    update_claimed,
    waits_for,
)

EXHAUSTED: Final = "decoder-died: the process died or gave up each time it embedded this image"

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
    now: datetime | None = None,
) -> int:
    """Record that the vector of each (row, image digest) is stored; return how many rows changed.

    Rows that another worker has claimed since do not change. If the product was removed meanwhile,
    `embedded` is already greater than what was claimed; that value stays.
    """
    now = now or utcnow()
    claimed: BindParameter[int] = bindparam("b_wanted")
    return update_claimed(
        session,
        generation_id,
        [row for row, _ in embedded],
        {
            "embedded": case((Entry.embedded > claimed, Entry.embedded), else_=claimed),
            "embedded_digest": bindparam("b_digest"),
            "failures": 0,
            "last_error": null(),
            "due_at": now,
            **NOT_AWAITED,
        },
        extra=[{"b_digest": digest} for _, digest in embedded],
    )


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
    now = now or utcnow()
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
                "requested_at": case(
                    (Entry.wanted > bindparam("b_wanted"), now), else_=Entry.requested_at
                ),
                "due_at": case((Entry.wanted > bindparam("b_wanted"), now), else_=null()),
                "last_error": case((Entry.failures == 0, null()), else_=Entry.last_error),
            },
        )
    if settled < len(applied):
        request_late(session, generation_id, [row for row, _ in applied], now)
    return settled


def request_late(
    session: Session, generation_id: int, rows: Sequence[Claimed], now: datetime
) -> None:
    """Request those of the rows that another worker has claimed since."""
    changes = requesting.changes_to_reapply(now)
    update_claimed(session, generation_id, rows, changes, where=~IS_OUR_CLAIM)


def send_back(
    session: Session, generation_id: int, rows: Sequence[Claimed], *, now: datetime | None = None
) -> int:
    """Send rows back to the embed stage, because their vector is not stored; return how many.

    A row that was requested meanwhile keeps its numbers: that may be a removal, which needs no
    vector.
    """
    newer = Entry.wanted > bindparam("b_wanted")
    values = {
        "embedded": case((newer, Entry.embedded), else_=0),
        "embedded_digest": case((newer, Entry.embedded_digest), else_=null()),
        "due_at": now or utcnow(),
    }
    return update_claimed(session, generation_id, rows, values)


def fail(
    session: Session,
    generation_id: int,
    failed: Sequence[tuple[Claimed, str]],
    *,
    retry_at: datetime | None = None,
    now: datetime | None = None,
) -> int:
    """Record why rows failed in the embed stage: until `retry_at`, or permanently.

    A product whose new image failed permanently is listed in the quarantine; if it has an older
    vector, it is indexed with that. If the shop has sent another image meanwhile, or removed the
    product, the error is dropped and the row is due at once.
    """
    now = now or utcnow()
    if retry_at is not None:
        outcome: dict[str, Any] = {"due_at": retry_at, "last_error": bindparam("b_error")}
    else:
        outcome = _quarantined(bindparam("b_error"), now)
    parameters = [{"b_error": reason} for _, reason in failed]
    rows = [row for row, _ in failed]
    return _settle_failed(session, generation_id, rows, outcome, parameters, now=now)


def await_image(
    session: Session,
    generation_id: int,
    awaited: Sequence[tuple[Claimed, str, datetime]],
    *,
    now: datetime | None = None,
) -> int:
    """Record that images are not there yet, as (row, reason, when to look again).

    Until then the row is at rest like one in quarantine, with its last good vector if it has one;
    `wake_awaited` requests it again. The product counts as pending.
    """
    now = now or utcnow()
    outcome = _quarantined(bindparam("b_error"), now) | {
        "image_awaited_since": func.coalesce(Entry.image_awaited_since, now),
        "image_retry_at": bindparam("b_retry_at", type_=Entry.image_retry_at.type),
    }
    parameters = [{"b_error": reason, "b_retry_at": retry_at} for _, reason, retry_at in awaited]
    rows = [row for row, _, _ in awaited]
    return _settle_failed(session, generation_id, rows, outcome, parameters, now=now)


def _settle_failed(
    session: Session,
    generation_id: int,
    rows: Sequence[Claimed],
    outcome: dict[str, Any],
    parameters: Sequence[dict[str, Any]],
    *,
    now: datetime | None = None,
) -> int:
    """Record an outcome, unless the shop has sent another image: then the row is due at once."""
    values = {
        key: case((SAME_IMAGE, value), else_=getattr(Entry, key)) for key, value in outcome.items()
    }
    values["due_at"] = case((SAME_IMAGE, outcome["due_at"]), else_=now or utcnow())
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
            "due_at": case((newer, now or utcnow()), else_=null()),
            "last_error": case((newer, Entry.last_error), else_=bindparam("b_error")),
        },
        extra=[{"b_error": reason} for _, reason in failed],
    )


def quarantine_exhausted(
    session: Session, generation_id: int, *, max_failures: int, now: datetime | None = None
) -> int:
    """Quarantine rows that have used all attempts in processes that died; return how many."""
    exhausted = and_(
        Entry.generation_id == generation_id,
        Entry.due_at <= (now or utcnow()),
        waits_for(Stage.EMBED),
        Entry.failures >= max_failures,
    )
    values = _quarantined(literal(EXHAUSTED), now)
    return update_and_count(session, update(Entry).where(exhausted).values(values))


def _quarantined(reason: Any, now: datetime | None) -> dict[str, Any]:
    """Return the changes that quarantine a row, with its last good vector if it has one.

    The apply stage comes next where there is a vector to write or a point to delete.
    """
    to_apply = Entry.embedded_digest.is_not(None) | Entry.indexed_claim.is_not(None)
    return {
        "last_error": reason,
        "embedded": case((to_apply, Entry.wanted), else_=Entry.embedded),
        "due_at": case((to_apply, now or utcnow()), else_=null()),
        **NOT_AWAITED,
    }
