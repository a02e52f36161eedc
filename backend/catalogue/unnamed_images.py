"""Image files and vectors that no product names any more: found, counted, and deleted in time.

The store and the vectors are looked through part by part, by the first two digits of the digests.
What is found is noted with its time in `unnamed_images`. What is named again is removed from there.
What has been noted for the time of grace is deleted, after one more look at the products.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import structlog
from sqlalchemy import delete, func, select, true
from sqlalchemy.orm import Session

from backend.catalogue import image_vectors
from backend.catalogue.named_images import named
from backend.database import clock
from backend.database.engine import Database
from backend.database.models import Cursor, UnnamedImage
from backend.database.upsert import upsert
from backend.images.store import PARTS, ImageStore

log = structlog.get_logger(__name__)

PASS_EVERY: Final = timedelta(hours=1)
"""How often everything is looked through."""

BEING_NAMED: Final = timedelta(hours=1)
"""An image that was put within this time is kept: the row that names it may come yet."""

MOST_DELETED: Final = 200
"""Images that are deleted before the next part may be looked at by another process."""

AT_ONCE: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""The time that is noted of what has to go without grace."""

_NEXT_PART: Final = "unnamed-images"
_LAST_ROUND: Final = "unnamed-images:last"


@dataclass(frozen=True)
class _Found:
    """A content that nothing names: the bytes of its file, None without one, and its vectors."""

    size: int | None
    vectors: int


def look_through(
    db: Database,
    store: ImageStore,
    *,
    grace: timedelta,
    seconds: float,
    now: datetime | None = None,
) -> bool:
    """Look for some seconds through the next parts; return whether the pass has more of them.

    A pass begins an hour after the one before. Raises ImageUnavailable if the store fails.
    """
    deadline = time.monotonic() + seconds
    with db.read() as session:
        now = now or clock.now(session)
        position = _position(session)
        last = session.get(Cursor, _LAST_ROUND)
    if position == 0 and last is not None and now < last.updated_at + PASS_EVERY:
        return False
    while position < len(PARTS):
        if _look_at(db, store, position, grace=grace, now=now):
            position += 1
            next_part = position % len(PARTS)
            db.write(partial(_move, name=_NEXT_PART, position=next_part, now=now))
        if time.monotonic() > deadline:
            break
    if position < len(PARTS):
        return True
    db.write(partial(_move, name=_LAST_ROUND, position=0, now=now))
    return False


def seconds_until_next(db: Database) -> float:
    """Return how long it is until `look_through` has something to do; 0 in a pass."""
    cursors = select(Cursor.name, Cursor.position, Cursor.updated_at)
    with db.read() as session:
        rows = session.execute(cursors.where(Cursor.name.in_((_NEXT_PART, _LAST_ROUND)))).all()
        found = {row.name: row for row in rows}
        is_begun = _NEXT_PART in found and found[_NEXT_PART].position > 0
        if is_begun or _LAST_ROUND not in found:
            return 0.0
        left: timedelta = found[_LAST_ROUND].updated_at + PASS_EVERY - clock.now(session)
    return max(0.0, left.total_seconds())


def summary(session: Session) -> dict[str, Any]:
    """Count what nothing names, as the last pass found it; `checked_at` is None before the first.

    `images` have `bytes` together; `vectors` are counted for each embedder.
    """
    row = session.execute(
        select(
            func.count(UnnamedImage.bytes),
            func.sum(UnnamedImage.bytes),
            func.sum(UnnamedImage.vectors),
        )
    ).one()
    last = session.get(Cursor, _LAST_ROUND)
    return {
        "images": row[0],
        "bytes": int(row[1] or 0),
        "vectors": int(row[2] or 0),
        "checked_at": last.updated_at.isoformat() if last else None,
    }


def mark_for_deletion(session: Session, digests: Collection[str]) -> None:
    """Note contents that have to go at once, whatever the time of grace."""
    if digests:
        insert = upsert(session, UnnamedImage)
        changes = {"found_at": AT_ONCE}
        session.execute(
            insert.on_conflict_do_update(index_elements=["image_digest"], set_=changes),
            [{"image_digest": it, "vectors": 0, "found_at": AT_ONCE} for it in sorted(digests)],
        )


def delete_marked(db: Database, store: ImageStore) -> tuple[int, int]:
    """Delete the marked files; return how many there were, and their bytes.

    Raises ImageUnavailable if the store fails; then the rest stays noted.
    """
    images = size = 0
    with db.read() as session:
        marked = session.scalars(
            select(UnnamedImage.image_digest).where(UnnamedImage.found_at == AT_ONCE)
        ).all()
    for digest in marked:
        with db.read() as session:
            is_named = named(session, [digest])
        deleted = None if is_named else store.delete(digest)
        db.write(partial(forget, digests=[digest]))
        images += deleted is not None
        size += deleted or 0
    return images, size


def forget(session: Session, digests: Collection[str]) -> None:
    """Remove contents from the table: they are named again, or they were deleted."""
    gone = delete(UnnamedImage).where(UnnamedImage.image_digest.in_(digests))
    session.execute(gone, execution_options={"synchronize_session": False})


def _position(session: Session) -> int:
    cursor = session.get(Cursor, _NEXT_PART)
    return cursor.position if cursor else 0


def _move(session: Session, name: str, position: int, now: datetime) -> None:
    session.merge(Cursor(name=name, position=position, updated_at=now))


def _look_at(
    db: Database, store: ImageStore, position: int, *, grace: timedelta, now: datetime
) -> bool:
    """Look at one part and delete what is due in it; return whether all of that was deleted."""
    files = store.listed(PARTS[position])
    first = PARTS[position] if position else ""
    beyond = PARTS[position + 1] if position + 1 < len(PARTS) else None
    with db.read() as session:
        vectors = image_vectors.counts(session, first=first, beyond=beyond)
        noted = _noted(session, first, beyond)
        there = files.keys() | vectors.keys()
        unnamed = there - named(session, there)
    found = {digest: _Found(files.get(digest), vectors.get(digest, 0)) for digest in unnamed}
    due = sorted(it for it in unnamed if noted.get(it, now) <= now - grace)
    if found or noted:
        db.write(lambda session: _note(session, found, noted.keys() - unnamed, now))
    for digest in due[:MOST_DELETED]:
        since = now if noted[digest] == AT_ONCE else now - BEING_NAMED
        _delete(db, store, digest, stored_after=since)
    return len(due) <= MOST_DELETED


def _noted(session: Session, first: str, beyond: str | None) -> dict[str, datetime]:
    before = true() if beyond is None else UnnamedImage.image_digest < beyond
    rows = session.execute(
        select(UnnamedImage.image_digest, UnnamedImage.found_at).where(
            UnnamedImage.image_digest >= first, before
        )
    )
    return {row[0]: row[1] for row in rows}


def _note(
    session: Session, found: Mapping[str, _Found], gone: Collection[str], now: datetime
) -> None:
    """Note what is unnamed, with the time when that was first seen; forget what is named."""
    if found:
        insert = upsert(session, UnnamedImage)
        rows = [
            {"image_digest": digest, "bytes": it.size, "vectors": it.vectors, "found_at": now}
            for digest, it in sorted(found.items())
        ]
        excluded = {name: insert.excluded[name] for name in ("bytes", "vectors")}
        session.execute(
            insert.on_conflict_do_update(index_elements=["image_digest"], set_=excluded), rows
        )
    forget(session, gone)


def _delete(db: Database, store: ImageStore, digest: str, *, stored_after: datetime) -> None:
    """Delete a content, unless a product names it by now or its file was put again."""

    def is_named() -> bool:
        with db.read() as session:
            return bool(named(session, [digest]))

    had_file = store.exists(digest)
    was_deleted = store.delete_unless(digest, is_named, stored_after=stored_after)

    def forget_it(session: Session) -> None:
        is_gone = was_deleted or not had_file
        if is_gone and not named(session, [digest]):
            image_vectors.delete_of(session, [digest])
        if is_gone:
            forget(session, [digest])

    db.write(forget_it)
    if was_deleted:
        log.info("deleted an image that nothing names", digest=digest)
