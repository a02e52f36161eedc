"""The first stage: the images of due rows become vectors in SQL."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import chain, islice, repeat
from typing import Final, TypeAlias

import numpy as np
import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from backend import generations, queue
from backend.catalogue import image_vectors
from backend.database import clock
from backend.database.engine import Database
from backend.database.models import Generation
from backend.embedders import Embedder
from backend.embedders.control import check_works
from backend.errors import (
    DatabaseUnavailable,
    DecoderBusy,
    DecoderDied,
    DecoderUnavailable,
    EmbedderFailed,
    ImageError,
    ImageUnavailable,
    IndexRefused,
    InvalidVector,
)
from backend.generations import check_fingerprint
from backend.images.decoder_pool import Decoded
from backend.images.open_images import ImageOpener
from backend.indexing import kept_features, row_outcomes
from backend.indexing.image_tasks import (
    Gathered,
    ImageOutcome,
    ImageTask,
    read_tasks,
    store_digests,
)
from backend.indexing.kept_features import Embedded
from backend.indexing.row_outcomes import RetryLimits, reason
from backend.metrics.instruments import count_batch
from backend.outages import Outages
from backend.queue import REINDEX, Claimed, Stage, Unreturned
from backend.vectors import Vector

log = structlog.get_logger(__name__)

HOST_FAULTS: Final = (DecoderBusy, DecoderUnavailable, EmbedderFailed)
"""What keeps this process from embedding any image."""

HOST_CODES: Final = tuple(
    sorted({kind.code for kind in (*HOST_FAULTS, ImageUnavailable, IndexRefused)})
)
"""Codes of the quarantine's reasons that may be the host's fault, and so are tried again."""

GAVE_UP: Final = DecoderDied(queue.EXHAUSTED.partition(": ")[2])
"""Why an image has no vector whose product has used all attempts in processes that died."""

DATABASE_FAILED: Final = f"{DatabaseUnavailable.code}: the database failed meanwhile"

FIRST_PARTS: Final = (4, 2)
"""What part of a batch the first ones of a claim are, where several passes overlap."""

FEWEST: Final = 8
"""Images of such a part."""

Batch: TypeAlias = Sequence[tuple[ImageTask, Decoded | ImageError]]


@dataclass(frozen=True, kw_only=True)
class EmbedOptions(RetryLimits):
    """How one claim is made and embedded."""

    claim_size: int  # rows taken at once
    batch_size: int  # images in one forward pass, after which rows are settled
    passes: int = 1  # forward passes at the same time
    lease: timedelta
    heartbeat: Callable[[], None] = lambda: None  # called for every image, so that a hang is seen
    outages: Outages = field(default_factory=Outages)
    unreturned: Unreturned = field(default_factory=Unreturned)


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
    kept_features.store_fingerprint(db, generation, embedder)
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
    claimed: list[Claimed] = []

    def claim(session: Session) -> None:
        claimed[:] = queue.claim(
            session,
            generation.id,
            Stage.EMBED,
            limit=1 if failed_before else options.claim_size,
            lease=options.lease,
            failed_before=failed_before,
            up_to=up_to,
        )

    def give_back(session: Session) -> None:
        left = [(row, DATABASE_FAILED, timedelta()) for row in claimed]
        queue.postpone(session, generation.id, left)

    with options.unreturned.kept(give_back):
        db.write(claim)
    return claimed


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
        _give_back(db, generation, options, open_rows, error, timedelta(seconds=seconds))
        return False
    except Exception as error:
        with suppress(SQLAlchemyError, DatabaseUnavailable):  # it may be the database that fails
            _give_back(db, generation, options, open_rows, error, options.retry)
        raise
    options.outages.work(outage_of(generation))
    return True


def _give_back(
    db: Database,
    generation: Generation,
    options: EmbedOptions,
    rows: Iterable[Claimed],
    error: Exception,
    wait: timedelta,
) -> None:
    left = [(row, reason(error), wait) for row in rows]

    def give_back(session: Session) -> None:
        queue.postpone(session, generation.id, left)

    with options.unreturned.kept(give_back):
        db.write(give_back)


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
        tasks = read_tasks(session, list(open_rows))
        digests = {task.digest for task in tasks if task.digest}
        known = image_vectors.known(session, generation.fingerprint, digests)
        kept = kept_features.project_kept(session, embedder, digests - known)
    gathered = Gathered(tasks)
    ready = [
        ImageOutcome(task, digest=task.digest or "", vector=kept.get(task.digest or ""))
        for task in tasks
        if task.digest in known or task.digest in kept
    ]
    unknown = [task for task in tasks if task.digest not in known and task.digest not in kept]
    spent = {row for row in gathered.several if row.failures > options.max_failures}
    given_up = [ImageOutcome(task, error=GAVE_UP) for task in unknown if task.row in spent]
    _record(db, generation, options, [*ready, *given_up], gathered, open_rows)
    left = [task for task in unknown if task.row not in spent]
    batch_size = options.batch_size
    if any(task.row.failures > 1 for task in left):
        left, batch_size = _one_by_one(left), 1
    else:
        left.sort(key=lambda task: image_opener.is_doubtful(task.uri))  # who may wait goes last
    uris = [task.uri for task in left]
    found = image_opener.open(uris, embedder.input_size, heartbeat=options.heartbeat)
    opened = zip(left, _with_heartbeat(found, options.heartbeat), strict=True)
    passes = 0 if batch_size == 1 else options.passes
    batches = _batches(opened, batch_size, parts=FIRST_PARTS if passes > 1 else ())
    with closing(_embed_all(embedder, batches, passes=passes)) as several:
        for outcomes in several:
            _record(db, generation, options, outcomes, gathered, open_rows)


def _one_by_one(tasks: list[ImageTask]) -> list[ImageTask]:
    """Order the images of a row that has failed before, to find one that kills the process.

    They are embedded and stored one by one, from either end in turn: so only those between two
    images that kill the process are never reached.
    """
    return tasks[::-1] if tasks[0].row.failures % 2 == 0 else tasks


def _with_heartbeat(
    found: Iterator[Decoded | ImageError], heartbeat: Callable[[], None]
) -> Iterator[Decoded | ImageError]:
    for one in found:
        heartbeat()
        yield one


def _batches(
    opened: Iterator[tuple[ImageTask, Decoded | ImageError]], size: int, *, parts: Sequence[int]
) -> Iterator[Batch]:
    """Yield batches of a claim; of the first ones only a part, so the network need not wait."""
    first = [size // part for part in parts]
    sizes = chain((few for few in first if few >= FEWEST), repeat(size))
    return iter(lambda: list(islice(opened, next(sizes))), [])


def _embed_all(
    embedder: Embedder, batches: Iterable[Batch], *, passes: int
) -> Generator[list[ImageOutcome]]:
    """Yield the outcomes of each batch; the next ones are embedded while the caller records them.

    `passes` of them at the same time. None: one after the other, so that what is recorded shows
    which image has killed the process.
    """
    if not passes:
        yield from (_embed(embedder, batch) for batch in batches)
        return
    with ThreadPoolExecutor(passes, thread_name_prefix="embedding") as threads:
        under_way: deque[Future[list[ImageOutcome]]] = deque()
        for batch in batches:
            under_way.append(threads.submit(_embed, embedder, batch))
            if len(under_way) > passes:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


def _embed(embedder: Embedder, batch: Batch) -> list[ImageOutcome]:
    bad = [ImageOutcome(task, error=got) for task, got in batch if isinstance(got, ImageError)]
    good = [(task, got) for task, got in batch if not isinstance(got, ImageError)]
    embedded = _forward_checked(embedder, [decoded for _, decoded in good])
    return bad + [
        ImageOutcome(task, error=one)
        if isinstance(one, Exception)
        else ImageOutcome(task, digest=decoded.digest, vector=one.vector, features=one.features)
        for (task, decoded), one in zip(good, embedded, strict=True)
    ]


def _forward_checked(embedder: Embedder, images: Sequence[Decoded]) -> list[Embedded | Exception]:
    """Embed a batch. If images fail, a grey one shows whether the embedder works at all.

    Raises EmbedderFailed if it does not, as after a device's error, which breaks each later call.
    """
    embedded = _forward(embedder, images)
    errors = [one for one in embedded if isinstance(one, Exception)]
    if errors:
        check_works(embedder)
        log.warning("embedding failed", images=len(errors), error=repr(errors[0]))
    return embedded


def _forward(embedder: Embedder, images: Sequence[Decoded]) -> list[Embedded | Exception]:
    """Embed a batch; if it raises, halve it until the image that raises is alone in its batch."""
    if not images:
        return []
    began = time.perf_counter()
    try:
        embedded = [_check_vector(one) for one in kept_features.embed(embedder, images)]
    except Exception as error:  # noqa: BLE001  (one claim's failure; it is recorded)
        if len(images) == 1:
            return [error]
    else:
        count_batch(images=len(images), seconds=time.perf_counter() - began)
        return embedded
    half = len(images) // 2
    return _forward(embedder, images[:half]) + _forward(embedder, images[half:])


def _check_vector(one: Embedded) -> Embedded | Exception:
    """Return what an image became, or the error for which it must not be stored."""
    if np.isfinite(one.vector).all() and one.vector.any():
        return one
    return InvalidVector("the embedder made a vector that is all zeros or not finite")


def _record(
    db: Database,
    generation: Generation,
    options: EmbedOptions,
    outcomes: Sequence[ImageOutcome],
    gathered: Gathered,
    open_rows: dict[Claimed, None],
) -> None:
    """Store the vectors; settle, fail or postpone the rows of which no image is left.

    In one transaction. Those rows are no longer open.
    """
    if not outcomes:
        return
    vectors = {one.digest: one.vector for one in outcomes if one.vector is not None}
    features = {one.digest: one.features for one in outcomes if one.features is not None}
    complete = list(gathered.add(outcomes))

    def write(session: Session) -> None:
        now = clock.now(session)
        rows = [row_outcomes.decide(row, every, options, now) for row, every in complete]
        new = _vectors_to_store(session, generation, outcomes, vectors)
        image_vectors.store(session, generation.fingerprint, new)
        if generation.features is not None:
            kept = {digest: features[digest] for digest in new if digest in features}
            image_vectors.store(session, generation.features, kept, may_replace=True)
        store_digests(session, outcomes)
        generations.store_most_images(session, generation.id, most=row_outcomes.most_images(rows))
        row_outcomes.record(session, generation, rows, now)

    db.write(write)
    for row, _ in complete:
        open_rows.pop(row, None)


def _vectors_to_store(
    session: Session,
    generation: Generation,
    outcomes: Sequence[ImageOutcome],
    vectors: Mapping[str, Vector],
) -> dict[str, Vector]:
    """Return the vectors of rows that are still ours: a late one's image may have been purged."""
    rows = list({one.task.row: None for one in outcomes if one.vector is not None})
    ours = queue.still_ours(session, generation.id, rows)
    wanted = {one.digest for one in outcomes if one.task.row in ours}
    return {digest: vector for digest, vector in vectors.items() if digest in wanted}
