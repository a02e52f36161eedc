"""The queue, as a few numbers in SQL: request, claim, settle, fail, progress.

An entry goes through two stages. While `embedded < wanted` its image has to be turned into a
vector; while `embedded = wanted > indexed` the result has to be written to the index. A claim
takes a row by raising its `claim` number and moving `due_at` behind a lease; whoever settles must
still hold the newest claim. All rules live here, so that the simulation in the tests can put a
wrong one in and watch it fail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, cast

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    CursorResult,
    Insert,
    Select,
    Table,
    Update,
    and_,
    bindparam,
    case,
    literal,
    null,
    select,
    true,
    update,
)
from sqlalchemy.orm import Session

from backend.database import locks
from backend.database.engine import Database
from backend.database.locks import Lock
from backend.database.models import LIVE, Generation, IndexEntry, Product, utcnow
from backend.database.upsert import upsert

SINGLE: Final = 0
IMPORT: Final = 1
REINDEX: Final = 2
"""Priorities: a single write goes before an import, an import before a re-index."""

EXHAUSTED: Final = "decoder-died: the process died or gave up each time it embedded this image"

Entry = IndexEntry  # the shorter name keeps the SQL below readable

MINE: Final = Entry.claim == bindparam("b_claim")
"""Whether the row's newest claim is still the one that is being settled."""

SAME_IMAGE: Final = Entry.failures > 0
"""Whether the image is still that of our claim: the claim raised the failures, and only a request
with another image, or a removal, resets them."""


class Stage(StrEnum):
    """What an entry waits for."""

    EMBED = "embed"
    APPLY = "apply"


@dataclass(frozen=True)
class Claimed:
    """A row taken for work. Settling it needs the same `claim`; `wanted` is what it was then."""

    product_id: int
    claim: int
    wanted: int
    failures: int
    embedded_digest: str | None


# --- request -----------------------------------------------------------------------------


def request(
    session: Session,
    product_ids: Sequence[int],
    *,
    image: bool,
    priority: int,
    now: datetime | None = None,
) -> None:
    """Ask every live generation to take in a changed payload, or a changed image.

    Belongs into the transaction that changes the products. Only a changed image resets the
    failures. A payload change opens no image: it skips the embed stage where the vector is
    current, and elsewhere leaves that stage's schedule (a lease, a back-off, the quarantine) alone.
    """
    now = now or utcnow()
    changes = _once_more(now)
    if image:
        changes = {
            "wanted": Entry.wanted + 1,
            "due_at": now,
            "failures": 0,
            "last_error": null(),
        }
    _upsert_entries(session, product_ids, changes, priority=priority, now=now)


def request_removal(
    session: Session, product_ids: Sequence[int], *, priority: int, now: datetime | None = None
) -> None:
    """Ask every live generation to delete the points of removed products. No image is opened."""
    now = now or utcnow()
    changes = {
        "wanted": Entry.wanted + 1,
        "embedded": Entry.wanted + 1,
        "due_at": now,
        "failures": 0,
        "last_error": null(),
    }
    _upsert_entries(session, product_ids, changes, priority=priority, now=now, embedded=1)


def _upsert_entries(
    session: Session,
    product_ids: Sequence[int],
    changes: dict[str, Any],
    *,
    priority: int,
    now: datetime,
    embedded: int = 0,
) -> None:
    if not product_ids:
        return
    locks.share(session, Lock.GENERATIONS)  # none may start before this transaction ends
    pairs = (
        _new_entries(Generation.id, priority, now, embedded=embedded)
        .join(Generation, Generation.state.in_(LIVE))
        .where(Product.id.in_(product_ids))
        .order_by(Generation.id, Product.id)
    )
    idle = Entry.due_at.is_(None)
    changes |= _asked(now) | {
        "priority": case((idle | (Entry.priority > priority), priority), else_=Entry.priority),
    }
    session.execute(insert_entries(session, pairs, changes))


NEW_ENTRY: Final = [
    *("generation_id", "product_id", "wanted", "embedded", "indexed", "claim"),
    *("failures", "priority", "requested_at", "due_at"),
]


def insert_entries(
    session: Session,
    rows: Select[Any],
    changes: dict[str, Any] | None,
    *,
    columns: Sequence[str] = NEW_ENTRY,
) -> Insert:
    """Insert entries from a select; what is there already gets `changes`, or stays as it is."""
    keys = ["generation_id", "product_id"]
    insert = upsert(session, Entry).from_select(columns, rows, include_defaults=False)
    if changes is None:
        return insert.on_conflict_do_nothing(index_elements=keys)
    return insert.on_conflict_do_update(index_elements=keys, set_=changes)


def _new_entries(
    generation_id: Any, priority: int, now: datetime, *, embedded: int = 0
) -> Select[Any]:
    """Select a new entry for every product, in the order of `NEW_ENTRY`."""
    moment = literal(now, Entry.due_at.type)
    zero = literal(0)
    numbers = (literal(1), literal(embedded), zero, zero, zero, literal(priority))
    return select(generation_id, Product.id, *numbers, moment, moment).select_from(Product)


# --- claim -------------------------------------------------------------------------------


def claim(
    session: Session,
    generation_id: int,
    stage: Stage,
    *,
    limit: int,
    lease: timedelta,
    failed_before: bool = False,
    up_to: int = REINDEX,
    now: datetime | None = None,
) -> list[Claimed]:
    """Take due rows of a priority up to `up_to`, by priority, then age, until the lease ends.

    The embed stage takes rows that never failed, or, with `failed_before`, rows that did (ask for
    one at a time: an image that kills the process must not take others into the quarantine with
    it). Its failure counter rises before the attempt, so that a death counts too.
    """
    now = now or utcnow()
    due = (
        select(Entry.product_id)
        .where(Entry.generation_id == generation_id, Entry.due_at <= now, waits_for(stage))
        .where(Entry.priority <= up_to)
        .order_by(Entry.priority, Entry.due_at, Entry.product_id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    taken: dict[str, Any] = {"claim": Entry.claim + 1, "due_at": now + lease}
    if stage is Stage.EMBED:
        due = due.where(Entry.failures > 0 if failed_before else Entry.failures == 0)
        taken["failures"] = Entry.failures + 1
    # A CTE runs once; a plain IN may run again for each row, and lock others each time.
    taken_ids = select(due.cte("due").c.product_id)
    rows = session.execute(
        update(Entry)
        .where(Entry.generation_id == generation_id, Entry.product_id.in_(taken_ids))
        .values(taken)
        .returning(
            Entry.product_id, Entry.claim, Entry.wanted, Entry.failures, Entry.embedded_digest
        )
        .execution_options(synchronize_session=False)
    )
    return sorted((Claimed(*row) for row in rows), key=lambda row: row.product_id)


def is_due(
    session: Session, generation_id: int, stage: Stage, *, now: datetime | None = None
) -> bool:
    """Tell whether `claim` would find a row; takes no lock, so that an idle poll costs nothing."""
    due = select(Entry.product_id).where(
        Entry.generation_id == generation_id, Entry.due_at <= (now or utcnow()), waits_for(stage)
    )
    return session.scalar(due.limit(1)) is not None


def first_due(
    session: Session, generation_id: int, stage: Stage, *, now: datetime | None = None
) -> int | None:
    """Return the priority of what `claim` would take first, None when nothing is due."""
    due = select(Entry.priority).where(
        Entry.generation_id == generation_id, Entry.due_at <= (now or utcnow()), waits_for(stage)
    )
    return session.scalar(due.order_by(Entry.priority).limit(1))


def is_busy(db: Database, generation_id: int) -> bool:
    """Tell whether any stage of a generation has something due now."""
    with db.read() as session:
        return any(is_due(session, generation_id, stage) for stage in Stage)


def waits_for(stage: Stage) -> ColumnElement[bool]:
    """Return the condition under which an entry waits for a stage."""
    if stage is Stage.EMBED:
        return Entry.embedded < Entry.wanted
    return and_(Entry.embedded == Entry.wanted, Entry.indexed < Entry.wanted)


def quarantine_exhausted(
    session: Session, generation_id: int, *, max_failures: int, now: datetime | None = None
) -> int:
    """Quarantine rows whose attempts are used up without anyone having lived to report why."""
    spent = and_(
        Entry.generation_id == generation_id,
        Entry.due_at <= (now or utcnow()),
        waits_for(Stage.EMBED),
        Entry.failures >= max_failures,
    )
    return _count(session, update(Entry).where(spent).values(_gave_up(literal(EXHAUSTED), now)))


def free_leases(session: Session) -> int:
    """Make every leased row due again. Only for an owner that knows itself to be alone."""
    now = utcnow()
    return _count(session, update(Entry).where(Entry.due_at > now).values(due_at=now))


# --- settle and fail ---------------------------------------------------------------------


def settle_embedded(
    session: Session,
    generation_id: int,
    embedded: Sequence[tuple[Claimed, str]],
    *,
    now: datetime | None = None,
) -> int:
    """Record that the vector of each (row, image digest) is stored; return how many still counted.

    A late embedder, whose claim somebody has taken over, changes no entry. A removal meanwhile has
    lifted `embedded` beyond what was claimed; there it stays.
    """
    now = now or utcnow()
    claimed: BindParameter[int] = bindparam("b_wanted")
    return _settle(
        session,
        generation_id,
        [row for row, _ in embedded],
        {
            "embedded": case((Entry.embedded > claimed, Entry.embedded), else_=claimed),
            "embedded_digest": bindparam("b_digest"),
            "failures": 0,
            "last_error": null(),
            "due_at": now,
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

    Returns how many were still ours. A late writer may have written what a newer claim deleted, so
    its rows are requested once more instead. What was asked for meanwhile waits since now: a
    product that is edited all the time is not one that nobody has looked at. An error of the index
    is over now; one of the image, which `failures` still counts, stays.
    """
    now = now or utcnow()
    settled = 0
    for has_point in (True, False):
        rows = [row for row, point in applied if point is has_point]
        settled += _settle(
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
        _request_late(session, generation_id, [row for row, _ in applied], now)
    return settled


def _request_late(
    session: Session, generation_id: int, rows: Sequence[Claimed], now: datetime
) -> None:
    _settle(session, generation_id, rows, _once_more(now), whose=~MINE)


def request_again(
    session: Session,
    generation_id: int,
    claims: Mapping[int, int],
    *,
    now: datetime | None = None,
) -> int:
    """Ask one generation to write points anew, from the vectors it has; opens no image.

    `claims` is {product id: claim found in the index, or 0}. The next claim will be newer than
    that, even where SQL is an old backup that never heard of it.
    """
    rows = [Claimed(id_, found, 0, 0, None) for id_, found in claims.items()]
    newest = case((Entry.claim < bindparam("b_claim"), bindparam("b_claim")), else_=Entry.claim)
    values = _once_more(now or utcnow()) | {"claim": newest}
    return _settle(session, generation_id, rows, values, whose=true())


def forget_points(session: Session, *, now: datetime | None = None) -> int:
    """Ask for every point anew, where the indexes are gone; opens no image. Returns how many."""
    lost = update(Entry).where(Entry.indexed_claim.is_not(None))
    return _count(session, lost.values(_once_more(now or utcnow()) | {"indexed_claim": null()}))


def _once_more(now: datetime) -> dict[str, Any]:
    waits_for_image = Entry.embedded < Entry.wanted
    return _asked(now) | {
        "wanted": Entry.wanted + 1,
        "embedded": case((waits_for_image, Entry.embedded), else_=Entry.wanted + 1),
        "due_at": case((waits_for_image, Entry.due_at), else_=now),
    }


def _asked(now: datetime) -> dict[str, Any]:
    """Note since when a row waits: what was asked of an idle one begins now."""
    return {"requested_at": case((Entry.due_at.is_(None), now), else_=Entry.requested_at)}


def send_back(
    session: Session, generation_id: int, rows: Sequence[Claimed], *, now: datetime | None = None
) -> int:
    """Return rows whose vector is not stored (any more) to the embed stage.

    What was changed meanwhile comes round again; it may be a removal, which needs no vector.
    """
    newer = Entry.wanted > bindparam("b_wanted")
    values = {
        "embedded": case((newer, Entry.embedded), else_=0),
        "embedded_digest": case((newer, Entry.embedded_digest), else_=null()),
        "due_at": now or utcnow(),
    }
    return _settle(session, generation_id, rows, values)


def fail(
    session: Session,
    generation_id: int,
    failed: Sequence[tuple[Claimed, str]],
    *,
    retry_at: datetime | None = None,
    now: datetime | None = None,
) -> int:
    """Record why rows failed in the embed stage: until `retry_at`, or for good.

    A product whose new image failed for good keeps its last good vector where it has one, and goes
    on to be indexed with it; either way it stays listed in the quarantine. Where the shop has sent
    another image meanwhile, or removed the product, the error is dropped and the row due at once.
    """
    now = now or utcnow()
    reasons = [{"b_error": reason} for _, reason in failed]
    rows = [row for row, _ in failed]
    if retry_at is not None:
        outcome: dict[str, Any] = {"due_at": retry_at, "last_error": bindparam("b_error")}
    else:
        outcome = _gave_up(bindparam("b_error"), now)
    values = {
        key: case((SAME_IMAGE, value), else_=getattr(Entry, key)) for key, value in outcome.items()
    }
    values["due_at"] = case((SAME_IMAGE, outcome["due_at"]), else_=now)
    return _settle(session, generation_id, rows, values, extra=reasons)


def fail_apply(
    session: Session,
    generation_id: int,
    failed: Sequence[tuple[Claimed, str]],
    *,
    retry_at: datetime | None = None,
    now: datetime | None = None,
) -> int:
    """Record why rows could not be written to the index: until `retry_at`, or for good."""
    rows = [row for row, _ in failed]
    if retry_at is not None:
        return _settle(session, generation_id, rows, {"due_at": retry_at})
    newer = Entry.wanted > bindparam("b_wanted")
    return _settle(
        session,
        generation_id,
        rows,
        {
            "due_at": case((newer, now or utcnow()), else_=null()),
            "last_error": case((newer, Entry.last_error), else_=bindparam("b_error")),
        },
        extra=[{"b_error": reason} for _, reason in failed],
    )


def _gave_up(reason: Any, now: datetime | None) -> dict[str, Any]:
    """Fall back to the last good vector if there is one, else rest without a point.

    Either way the apply stage comes next where there is something to write or to delete.
    """
    to_apply = Entry.embedded_digest.is_not(None) | Entry.indexed_claim.is_not(None)
    return {
        "last_error": reason,
        "embedded": case((to_apply, Entry.wanted), else_=Entry.embedded),
        "due_at": case((to_apply, now or utcnow()), else_=null()),
    }


def _settle(
    session: Session,
    generation_id: int,
    rows: Sequence[Claimed],
    values: dict[str, Any],
    *,
    extra: Sequence[dict[str, Any]] | None = None,
    whose: ColumnElement[bool] = MINE,
) -> int:
    """Update rows in id order, by default only where the claim is still ours."""
    if not rows:
        return 0
    statement = (
        update(cast("Table", Entry.__table__))
        .where(
            Entry.generation_id == generation_id,
            Entry.product_id == bindparam("b_id"),
            whose,
        )
        .values(values)
    )
    parameters = [
        {"b_id": row.product_id, "b_claim": row.claim, "b_wanted": row.wanted} | more
        for row, more in zip(rows, extra or [{}] * len(rows), strict=True)
    ]
    parameters.sort(key=lambda row: row["b_id"])
    return _count(session, statement, parameters)


def _count(session: Session, statement: Update, parameters: Any = None) -> int:
    """Run an update and return how many rows it changed."""
    result = session.execute(
        statement, parameters, execution_options={"synchronize_session": False}
    )
    return cast("CursorResult[Any]", result).rowcount
