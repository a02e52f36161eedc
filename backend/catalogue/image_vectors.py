"""The vectors of images in SQL, as float16: a rebuilt index equals the original one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, cast

import numpy as np
from sqlalchemy import (
    ColumnElement,
    CursorResult,
    Insert,
    Table,
    and_,
    delete,
    func,
    select,
    true,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from backend.database.dialect import is_postgresql
from backend.database.many_rows import execute_each
from backend.database.models import ImageVector, utcnow
from backend.vectors import Vector

STORED = np.dtype("<f2")
PART = 10_000


def pack(vector: Vector) -> bytes:
    """Round a vector, (size,) float32, to float16, little-endian."""
    return vector.astype(STORED).tobytes()


def unpack(blob: bytes) -> Vector:
    """Return a stored vector, (size,) float32; its length differs from 1 by rounding only."""
    return np.frombuffer(blob, dtype=STORED).astype(np.float32)


def unpack_all(blobs: Sequence[bytes]) -> list[Vector]:
    """Do as `unpack` for vectors of one length."""
    if not blobs:
        return []
    both = np.frombuffer(b"".join(blobs), dtype=STORED).astype(np.float32)
    return list(both.reshape(len(blobs), -1))


def store(
    session: Session,
    fingerprint: str,
    vectors: Mapping[str, Vector],
    *,
    may_replace: bool = False,
) -> None:
    """Store {image digest: vector}; a vector that is stored already is the same, and stays.

    With `may_replace` a longer one takes its place: an earlier release has kept fewer numbers.
    """
    if not vectors:
        return
    now = utcnow()
    rows = [
        {"image_digest": d, "fingerprint": fingerprint, "vector": pack(v), "created_at": now}
        for d, v in sorted(vectors.items())
    ]
    execute_each(session, _insert(is_postgresql(session), may_replace=may_replace), rows)


@cache
def _insert(is_on_postgresql: bool, *, may_replace: bool) -> Insert:
    table = cast("Table", ImageVector.__table__)
    kind = postgresql.insert if is_on_postgresql else sqlite.insert
    statement = kind(table)
    if not may_replace:
        return statement.on_conflict_do_nothing()
    new = statement.excluded.vector
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key),
        set_={"vector": new},
        where=func.length(table.c.vector) < func.length(new),
    )


def known(session: Session, fingerprint: str, digests: Iterable[str]) -> set[str]:
    """Return those of the digests whose vector is stored."""
    return {
        digest
        for part in _parts(digests)
        for digest in session.scalars(
            select(ImageVector.image_digest).where(_of(fingerprint, part))
        )
    }


def load(session: Session, fingerprint: str, digests: Iterable[str]) -> dict[str, Vector]:
    """Return the stored vectors among these digests."""
    columns = (ImageVector.image_digest, ImageVector.vector)
    return {
        digest: unpack(blob)
        for part in _parts(digests)
        for digest, blob in session.execute(select(*columns).where(_of(fingerprint, part)))
    }


def _parts(digests: Iterable[str]) -> Iterator[list[str]]:
    """Yield the digests in parts, each once: a statement has a limit of parameters."""
    each = list(set(digests))
    for start in range(0, max(1, len(each)), PART):
        yield each[start : start + PART]


def _of(fingerprint: str, digests: Iterable[str]) -> ColumnElement[bool]:
    return and_(ImageVector.fingerprint == fingerprint, ImageVector.image_digest.in_(digests))


def first_digest(session: Session, fingerprint: str, *, at: str) -> str | None:
    """Return the least image digest >= `at` whose vector by one embedder is stored."""
    return session.scalar(
        select(ImageVector.image_digest)
        .where(ImageVector.fingerprint == fingerprint, ImageVector.image_digest >= at)
        .order_by(ImageVector.image_digest)
        .limit(1)
    )


def forget(session: Session, fingerprint: str, *, first: str, beyond: str | None) -> None:
    """Delete the vectors of one embedder with `first` <= image digest < `beyond`."""
    which = and_(ImageVector.fingerprint == fingerprint, ImageVector.image_digest >= first)
    if beyond is not None:
        which = and_(which, ImageVector.image_digest < beyond)
    session.execute(delete(ImageVector).where(which).execution_options(synchronize_session=False))


def counts(session: Session, *, first: str, beyond: str | None) -> dict[str, int]:
    """Return {digest: vectors, one for each embedder} with `first` <= image digest < `beyond`."""
    before = true() if beyond is None else ImageVector.image_digest < beyond
    rows = session.execute(
        select(ImageVector.image_digest, func.count())
        .where(ImageVector.image_digest >= first, before)
        .group_by(ImageVector.image_digest)
    )
    return {row[0]: row[1] for row in rows}


def delete_of(session: Session, digests: Collection[str]) -> int:
    """Delete the vectors of these images by all embedders; return how many there were."""
    gone = delete(ImageVector).where(ImageVector.image_digest.in_(digests))
    result = session.execute(gone, execution_options={"synchronize_session": False})
    return cast("CursorResult[Any]", result).rowcount
