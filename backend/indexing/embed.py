"""The first stage: the images of due rows become vectors in SQL."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import islice
from typing import Final, cast

import numpy as np
import structlog
from PIL.Image import Image
from sqlalchemy import Table, bindparam, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from backend import queue
from backend.catalogue import image_vectors
from backend.database import clock
from backend.database.engine import Database
from backend.database.models import Generation, Product
from backend.embedders import Embedder
from backend.embedders.control import check_works
from backend.errors import (
    DecoderBusy,
    DecoderDied,
    DecoderUnavailable,
    EmbedderFailed,
    HostUnavailable,
    ImageError,
    ImageUnavailable,
    IndexRefused,
    InvalidVector,
    LookalikeError,
)
from backend.generations import check_fingerprint
from backend.images.decoder_pool import Decoded
from backend.images.open_images import ImageOpener
from backend.metrics.instruments import count_batch
from backend.outages import Outages
from backend.queue import REINDEX, Claimed, Stage
from backend.vectors import Vector

log = structlog.get_logger(__name__)

RETRYABLE: Final = (ImageUnavailable, DecoderDied)
"""Image errors that may not occur again; a decoder may also die because the machine is busy."""

HOST_FAULTS: Final = (DecoderBusy, DecoderUnavailable, EmbedderFailed)
"""What keeps this process from embedding any image."""

HOST_CODES: Final = tuple(
    sorted({kind.code for kind in (*HOST_FAULTS, ImageUnavailable, IndexRefused)})
)
"""Codes of the quarantine's reasons that may be the host's fault, and so are tried again."""


@dataclass(frozen=True, kw_only=True)
class EmbedOptions:
    """How one claim is made and embedded."""

    claim_size: int  # rows taken at once
    batch_size: int  # images in one forward pass, after which rows are settled
    lease: timedelta
    max_failures: int
    retry: timedelta  # the first back-off; it doubles with every failure
    heartbeat: Callable[[], None] = lambda: None  # called for every image, so that a hang is seen
    outages: Outages = field(default_factory=Outages)


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

    What is the host's fault (decoders or a device that do not work, an image host that does not
    answer, a database that fails) is not counted against the images: their rows wait with that
    reason. While this process cannot embed, it takes no rows, and then a few to try.
    """
    check_fingerprint(generation, embedder.fingerprint)
    with db.read() as session:
        if not queue.is_due(session, generation.id, Stage.EMBED):
            return 0
    what = outage_of(generation)
    if not options.outages.may_try(what):
        return 0
    if options.outages.reason(what):
        options = replace(options, claim_size=options.batch_size)
    db.write(
        lambda s: queue.quarantine_exhausted(s, generation.id, max_failures=options.max_failures)
    )
    taken = 0
    for failed_before in (False, True):
        claimed = _claim(db, generation, options, failed_before=failed_before, up_to=up_to)
        taken += len(claimed)
        if claimed and not _work_or_give_back(
            db, generation, embedder, image_opener, options, claimed
        ):
            return taken - len(claimed)
    return taken


def outage_of(generation: Generation) -> str:
    """Return the name of an outage in which this process cannot embed for a generation."""
    return f"embedding for generation {generation.id}"


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


def _work_or_give_back(
    db: Database,
    generation: Generation,
    embedder: Embedder,
    image_opener: ImageOpener,
    options: EmbedOptions,
    claimed: Sequence[Claimed],
) -> bool:
    """Work on a claim; return False if this process cannot embed now.

    Whatever interrupts the work, the rows that are left wait, and their claim counts for nothing.
    """
    open_rows = dict.fromkeys(claimed)
    try:
        _work(db, generation, embedder, image_opener, options, open_rows)
    except HOST_FAULTS as error:
        seconds = options.outages.fail(outage_of(generation), reason(error))
        _give_back(db, generation, open_rows, error, timedelta(seconds=seconds))
        return False
    except Exception as error:
        with suppress(SQLAlchemyError):  # it may be the database that fails; then the lease ends
            _give_back(db, generation, open_rows, error, options.retry)
        raise
    options.outages.work(outage_of(generation))
    return True


def _give_back(
    db: Database,
    generation: Generation,
    rows: Iterable[Claimed],
    error: Exception,
    wait: timedelta,
) -> None:
    left = [(row, reason(error), wait) for row in rows]
    db.write(lambda session: queue.postpone(session, generation.id, left))


def _work(
    db: Database,
    generation: Generation,
    embedder: Embedder,
    image_opener: ImageOpener,
    options: EmbedOptions,
    open_rows: dict[Claimed, None],
) -> None:
    """Work on a claim. Rows are taken out of `open_rows` as soon as their outcome is recorded."""
    with db.read() as session:
        tasks = _tasks(session, list(open_rows))
        digests = {task.digest for task in tasks if task.digest}
        known = image_vectors.known(session, generation.fingerprint, digests)
    ready = [_Outcome(task, digest=task.digest) for task in tasks if task.digest in known]
    _record(db, generation, options, ready, open_rows)
    unknown = [task for task in tasks if task.digest not in known]
    unknown.sort(key=lambda task: image_opener.is_doubtful(task.uri))  # who may wait goes last
    uris = [task.uri for task in unknown]
    found = image_opener.open(uris, embedder.input_size, heartbeat=options.heartbeat)
    opened = zip(unknown, _with_heartbeat(found, options.heartbeat), strict=True)
    while batch := list(islice(opened, options.batch_size)):
        _record(db, generation, options, _embed(embedder, batch), open_rows)


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
    vectors = _forward_checked(embedder, [decoded.image for _, decoded in good])
    return bad + [
        _Outcome(task, error=vector)
        if isinstance(vector, Exception)
        else _Outcome(task, digest=decoded.digest, vector=vector)
        for (task, decoded), vector in zip(good, vectors, strict=True)
    ]


def _forward_checked(embedder: Embedder, images: Sequence[Image]) -> list[Vector | Exception]:
    """Embed a batch. If images fail, a grey one shows whether the embedder works at all.

    Raises EmbedderFailed if it does not, as after a device's error, which breaks each later call.
    """
    vectors = _forward(embedder, images)
    errors = [vector for vector in vectors if isinstance(vector, Exception)]
    if errors:
        check_works(embedder)
        log.warning("embedding failed", images=len(errors), error=repr(errors[0]))
    return vectors


def _forward(embedder: Embedder, images: Sequence[Image]) -> list[Vector | Exception]:
    """Embed a batch; if it raises, halve it until the image that raises is alone in its batch."""
    if not images:
        return []
    began = time.perf_counter()
    try:
        vectors = [_check_vector(vector) for vector in embedder.embed(images)]
    except Exception as error:  # noqa: BLE001  (one claim's failure; it is recorded)
        if len(images) == 1:
            return [error]
    else:
        count_batch(images=len(images), seconds=time.perf_counter() - began)
        return vectors
    half = len(images) // 2
    return _forward(embedder, images[:half]) + _forward(embedder, images[half:])


def _check_vector(vector: Vector) -> Vector | Exception:
    """Return a vector, or the error for which it must not be stored."""
    if np.isfinite(vector).all() and vector.any():
        return vector
    return InvalidVector("the embedder made a vector that is all zeros or not finite")


def _record(
    db: Database,
    generation: Generation,
    options: EmbedOptions,
    outcomes: Sequence[_Outcome],
    open_rows: dict[Claimed, None],
) -> None:
    """Store the vectors and settle, fail or postpone their rows, in one transaction."""
    if not outcomes:
        return
    settled = [(one.task.row, one.digest) for one in outcomes if one.error is None]
    vectors = {one.digest: one.vector for one in outcomes if one.vector is not None}
    errors = [(one.task.row, one.error) for one in outcomes if one.error is not None]
    waiting = [(r, reason(e), _wait(e, options)) for r, e in errors if _waits_for_host(e)]
    failed = [(row, error) for row, error in errors if not _waits_for_host(error)]
    permanent = [(r, reason(e)) for r, e in failed if not _may_retry(r, e, options)]
    again = [(r, reason(e)) for r, e in failed if _may_retry(r, e, options)]

    def write(session: Session) -> None:
        image_vectors.store(session, generation.fingerprint, vectors)
        _store_digests(session, outcomes)
        queue.settle_embedded(session, generation.id, settled)
        queue.fail(session, generation.id, permanent)
        # Tries before the host was known to be at fault are forgotten with it.
        queue.postpone(session, generation.id, waiting, forget=True)
        now = clock.now(session)
        for row, why in again:
            retry_at = now + _back_off(row, options)
            queue.fail(session, generation.id, [(row, why)], retry_at=retry_at)

    db.write(write)
    for outcome in outcomes:
        open_rows.pop(outcome.task.row, None)


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


def _waits_for_host(error: Exception) -> bool:
    return isinstance(error, HostUnavailable)


def _wait(error: Exception, options: EmbedOptions) -> timedelta:
    """Return how long a row waits for its image's host."""
    seconds = error.context.get("wait", 0) if isinstance(error, LookalikeError) else 0
    return max(options.retry, timedelta(seconds=seconds))


def _may_retry(row: Claimed, error: Exception, options: EmbedOptions) -> bool:
    permanent = isinstance(error, ImageError) and not isinstance(error, RETRYABLE)
    return not permanent and row.failures < options.max_failures


def _back_off(row: Claimed, options: EmbedOptions) -> timedelta:
    return options.retry * 2.0 ** (row.failures - 1)
