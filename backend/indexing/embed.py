"""The first stage: the images of due rows become vectors in SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Final, cast

import numpy as np
import structlog
from PIL.Image import Image
from sqlalchemy import Table, bindparam, select, update
from sqlalchemy.orm import Session

from backend import queue
from backend.catalogue import image_vectors
from backend.database.engine import Database
from backend.database.models import Generation, Product, utcnow
from backend.embedders import Embedder
from backend.errors import (
    DecoderDied,
    ImageError,
    ImageUnavailable,
    InvalidVector,
    LookalikeError,
    MissingImage,
)
from backend.generations import check_fingerprint
from backend.images.decoder_pool import Decoded
from backend.images.open_images import ImageOpener
from backend.queue import REINDEX, Claimed, Stage
from backend.vectors import Vector

log = structlog.get_logger(__name__)

RETRYABLE: Final = (ImageUnavailable, DecoderDied)
"""Image errors that may not occur again; a decoder may also die because the machine is busy."""


LONGEST_PAUSE: Final = timedelta(hours=1)
SHORTEST_PAUSE: Final = timedelta(seconds=1)
"""Between two looks for an image that is still to come."""


@dataclass(frozen=True, kw_only=True)
class EmbedOptions:
    """How one claim is made and embedded."""

    claim_size: int  # rows taken at once
    batch_size: int  # images in one forward pass, after which rows are settled
    lease: timedelta
    max_failures: int
    retry: timedelta  # the first back-off; it doubles with every failure
    image_wait: timedelta = timedelta(0)  # how long an image may be missing before quarantine
    heartbeat: Callable[[], None] = lambda: None  # called for every image, so that a hang is seen


@dataclass(frozen=True)
class _Task:
    """A claimed row and its image."""

    row: Claimed
    uri: str | None
    digest: str | None


@dataclass(frozen=True)
class _Outcome:
    """The result of one task: the vector of an image's content, or an error."""

    task: _Task
    digest: str = ""
    vector: Vector | None = None
    error: Exception | None = None


def embed_pending(
    db: Database,
    generation: Generation,
    *,
    embedder: Embedder,
    image_opener: ImageOpener,
    options: EmbedOptions,
    up_to: int = REINDEX,
) -> int:
    """Embed due rows: one claim of rows that never failed, then one row that has failed before.

    Takes priorities up to `up_to`, the most urgent first. Returns how many rows were taken. Images
    whose vector is known are not opened. A bad image is quarantined with its reason; it does not
    affect the others. Raises ModelMismatch when the embedder is not the generation's.
    """
    check_fingerprint(generation, embedder.fingerprint)
    with db.read() as session:
        if not queue.is_due(session, generation.id, Stage.EMBED):
            return 0
    db.write(
        lambda s: queue.quarantine_exhausted(s, generation.id, max_failures=options.max_failures)
    )
    taken = 0
    for failed_before in (False, True):
        claimed = _claim(db, generation, options, failed_before=failed_before, up_to=up_to)
        taken += len(claimed)
        if claimed:
            _work(db, generation, embedder, image_opener, options, claimed)
    return taken


def _claim(
    db: Database,
    generation: Generation,
    options: EmbedOptions,
    *,
    failed_before: bool,
    up_to: int,
) -> list[Claimed]:
    limit = 1 if failed_before else options.claim_size
    return db.write(
        lambda session: queue.claim(
            session,
            generation.id,
            Stage.EMBED,
            limit=limit,
            lease=options.lease,
            failed_before=failed_before,
            up_to=up_to,
        )
    )


def _work(
    db: Database,
    generation: Generation,
    embedder: Embedder,
    image_opener: ImageOpener,
    options: EmbedOptions,
    claimed: Sequence[Claimed],
) -> None:
    with db.read() as session:
        tasks = _tasks(session, claimed)
        digests = {task.digest for task in tasks if task.digest}
        known = image_vectors.known(session, generation.fingerprint, digests)
    ready = [_Outcome(task, digest=task.digest) for task in tasks if task.digest in known]
    _record(db, generation, options, ready)
    unknown = [task for task in tasks if task.digest not in known]
    found = image_opener.open([task.uri for task in unknown], embedder.input_size)
    opened = zip(unknown, _with_heartbeat(found, options.heartbeat), strict=True)
    while batch := list(islice(opened, options.batch_size)):
        _record(db, generation, options, _embed(embedder, batch))


def _with_heartbeat(
    found: Iterator[Decoded | ImageError], heartbeat: Callable[[], None]
) -> Iterator[Decoded | ImageError]:
    for one in found:
        heartbeat()
        yield one


def _tasks(session: Session, claimed: Sequence[Claimed]) -> list[_Task]:
    ids = [row.product_id for row in claimed]
    images = session.execute(
        select(Product.id, Product.image_uri, Product.image_digest).where(Product.id.in_(ids))
    )
    found = {id_: (uri, digest) for id_, uri, digest in images}
    return [_Task(row, *found.get(row.product_id, (None, None))) for row in claimed]


def _embed(
    embedder: Embedder, batch: Sequence[tuple[_Task, Decoded | ImageError]]
) -> list[_Outcome]:
    bad = [_Outcome(task, error=got) for task, got in batch if isinstance(got, ImageError)]
    good = [(task, got) for task, got in batch if not isinstance(got, ImageError)]
    vectors = _forward(embedder, [decoded.image for _, decoded in good])
    return bad + [
        _Outcome(task, error=vector)
        if isinstance(vector, Exception)
        else _Outcome(task, digest=decoded.digest, vector=vector)
        for (task, decoded), vector in zip(good, vectors, strict=True)
    ]


def _forward(embedder: Embedder, images: Sequence[Image]) -> list[Vector | Exception]:
    """Embed a batch; if it raises, halve it until the image that raises is alone in its batch."""
    if not images:
        return []
    try:
        return [_check_vector(vector) for vector in embedder.embed(images)]
    except Exception as error:  # noqa: BLE001  (one claim's failure; it is recorded)
        if len(images) == 1:
            log.warning("embedding failed", error=repr(error))
            return [error]
    half = len(images) // 2
    return _forward(embedder, images[:half]) + _forward(embedder, images[half:])


def _check_vector(vector: Vector) -> Vector | Exception:
    """Return a vector, or the error for which it must not be stored."""
    if np.isfinite(vector).all() and vector.any():
        return vector
    return InvalidVector("the embedder made a vector that is all zeros or not finite")


def _record(
    db: Database, generation: Generation, options: EmbedOptions, outcomes: Sequence[_Outcome]
) -> None:
    """Store the vectors and settle or fail their rows, in one transaction."""
    if not outcomes:
        return
    settled = [(one.task.row, one.digest) for one in outcomes if one.error is None]
    vectors = {one.digest: one.vector for one in outcomes if one.vector is not None}
    failed = [(one.task.row, one.error) for one in outcomes if one.error is not None]
    now = utcnow()
    awaited = [
        (row, reason(error), _look_again_at(row, options, now))
        for row, error in failed
        if isinstance(error, MissingImage) and _may_come(row, options, now)
    ]
    waiting = {row for row, _, _ in awaited}
    failed = [(row, error) for row, error in failed if row not in waiting]
    permanent = [(r, reason(e)) for r, e in failed if not _may_retry(r, e, options)]
    again = [(r, reason(e), _retry_at(r, options)) for r, e in failed if _may_retry(r, e, options)]

    def write(session: Session) -> None:
        # A late worker's vector may be of an image that was purged meanwhile.
        ours = queue.still_ours(session, generation.id, [row for row, _ in settled])
        wanted = {digest for row, digest in settled if row in ours}
        new = {digest: vector for digest, vector in vectors.items() if digest in wanted}
        image_vectors.store(session, generation.fingerprint, new)
        _store_digests(session, outcomes)
        queue.settle_embedded(session, generation.id, settled)
        queue.await_image(session, generation.id, awaited)
        queue.fail(session, generation.id, permanent)
        for row, why, retry_at in again:
            queue.fail(session, generation.id, [(row, why)], retry_at=retry_at)

    db.write(write)


def _store_digests(session: Session, outcomes: Sequence[_Outcome]) -> None:
    """Store the digest of images that were read for the first time, such as remote ones."""
    table = cast("Table", Product.__table__)
    new = [
        {"b_id": one.task.row.product_id, "b_uri": one.task.uri, "b_digest": one.digest}
        for one in sorted(outcomes, key=lambda one: one.task.row.product_id)
        if one.error is None and one.task.digest is None
    ]
    if new:
        session.execute(
            update(table)
            .where(table.c.id == bindparam("b_id"), table.c.image_uri == bindparam("b_uri"))
            .where(table.c.image_digest.is_(None))
            .values(image_digest=bindparam("b_digest")),
            new,
        )


def reason(error: Exception) -> str:
    """Return the reason of a quarantine, `code: message`."""
    if isinstance(error, LookalikeError):
        return f"{error.code}: {error.message}"
    return f"embedding-failed: {type(error).__name__}: {error}"


def _may_retry(row: Claimed, error: Exception, options: EmbedOptions) -> bool:
    permanent = isinstance(error, ImageError) and not isinstance(error, RETRYABLE)
    return not permanent and row.failures < options.max_failures


def _retry_at(row: Claimed, options: EmbedOptions) -> datetime:
    return utcnow() + options.retry * 2.0 ** (row.failures - 1)


def _may_come(row: Claimed, options: EmbedOptions, now: datetime) -> bool:
    return now < (row.image_awaited_since or now) + options.image_wait


def _look_again_at(row: Claimed, options: EmbedOptions, now: datetime) -> datetime:
    """Wait as long again as the image was waited for, and look a last time when the time is up."""
    since = row.image_awaited_since or now
    pause = min(max(now - since, options.retry, SHORTEST_PAUSE), LONGEST_PAUSE)
    return min(now + pause, since + options.image_wait)
