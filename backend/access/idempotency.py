"""Requests with an `Idempotency-Key`: each is done once, and a repeated one gets its answer.

A row is claimed before the work, in a transaction of its own, so that a second process finds it.
After the work the answer is kept with it, or the row is deleted if the request may be tried again.
A claim that a killed process has left is over after STALE.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, delete, select, tuple_, update
from sqlalchemy.orm import Session

from backend.database import clock
from backend.database.models import IdempotencyKey as Row
from backend.database.upsert import upsert
from backend.errors import IdempotencyKeyInUse, IdempotencyKeyReused

STALE: Final = timedelta(minutes=2)
"""No request is worked on for longer: its client has gone, and so has its thread."""

LARGEST_ANSWER: Final = 1 << 20
"""Bytes of a packed answer that are kept; a larger one is not, and a repeated request is done."""

MOST_EXPIRED: Final = 100
"""Rows that one claim deletes, so that no request has to delete very many."""

_NONE: Final = {"status": None, "headers": None, "body": None}


@dataclass(frozen=True)
class KeptAnswer:
    """An answer as it was given."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Claim:
    """A request that this process works on."""

    client: str
    key: str
    at: datetime


def claim(
    session: Session, client: str, key: str, *, request: str, keep_for: timedelta
) -> Claim | KeptAnswer:
    """Claim a request before it is worked on, or return the answer that it was given before.

    `client` is whom keys belong to, `request` the digest of the request. Raises
    IdempotencyKeyReused for another request, IdempotencyKeyInUse while the first is worked on.
    """
    now = clock.now(session)
    _forget(session, before=now - keep_for)
    values = {"client": client, "key": key, "request": request, "claimed_at": now}
    insert = upsert(session, Row).values(**values).on_conflict_do_nothing()
    if session.execute(insert.returning(Row.key)).first():
        return Claim(client, key, now)
    row = session.scalars(select(Row).where(*_is(client, key)).with_for_update()).one()
    is_stale = row.claimed_at < (now - STALE if row.status is None else now - keep_for)
    if is_stale:
        again = {"request": request, "claimed_at": now, **_NONE}
        session.execute(update(Row).where(*_is(client, key)).values(**again))
        return Claim(client, key, now)
    if row.request != request:
        raise IdempotencyKeyReused("this Idempotency-Key was sent with another request")
    if row.status is None:
        raise IdempotencyKeyInUse("the first request with this Idempotency-Key is not answered yet")
    return KeptAnswer(
        row.status, row.headers or {}, zlib.decompress(row.body or zlib.compress(b""))
    )


def keep(session: Session, claimed: Claim, answer: KeptAnswer) -> None:
    """Keep the answer of a claimed request, unless the claim is over or the answer too large."""
    packed = zlib.compress(answer.body)
    if len(packed) > LARGEST_ANSWER:
        release(session, claimed)
        return
    values = {"status": answer.status, "headers": dict(answer.headers), "body": packed}
    session.execute(update(Row).where(*_is_ours(claimed)).values(**values))


def release(session: Session, claimed: Claim) -> None:
    """Forget a request, so that it is done when it is sent again."""
    session.execute(delete(Row).where(*_is_ours(claimed)))


def _forget(session: Session, *, before: datetime) -> None:
    expired = select(Row.client, Row.key).where(Row.claimed_at < before).limit(MOST_EXPIRED)
    rows = session.execute(expired).all()
    if rows:
        pairs = [(row.client, row.key) for row in rows]
        session.execute(delete(Row).where(tuple_(Row.client, Row.key).in_(pairs)))


def _is(client: str, key: str) -> tuple[ColumnElement[bool], ...]:
    return Row.client == client, Row.key == key


def _is_ours(claimed: Claim) -> tuple[ColumnElement[bool], ...]:
    return (*_is(claimed.client, claimed.key), Row.claimed_at == claimed.at)
