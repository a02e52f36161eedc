"""The first stage: the images of due rows become vectors in SQL."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

import numpy as np
import structlog
from PIL.Image import Image
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
    MissingImage,
)
from backend.generations import check_fingerprint
from backend.images.decoder_pool import Decoded
from backend.images.open_images import ImageOpener
from backend.indexing.image_tasks import Gathered, ImageTask, Outcome, read_tasks, store_digests
from backend.metrics.instruments import count_batch
from backend.outages import Outages
from backend.queue import REINDEX, Claimed, FurtherImages, Stage
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


LONGEST_PAUSE: Final = timedelta(hours=1)
SHORTEST_PAUSE: Final = timedelta(seconds=1)
"""Between two looks for an image that is still to come."""

GAVE_UP: Final = DecoderDied(queue.EXHAUSTED.partition(": ")[2])
"""Why an image has no vector whose product has used all attempts in processes that died."""


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
    outages: Outages = field(default_factory=Outages)


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
        tasks = read_tasks(session, list(open_rows))
        digests = {task.digest for task in tasks if task.digest}
        known = image_vectors.known(session, generation.fingerprint, digests)
    gathered = Gathered(tasks)
    ready = [Outcome(task, digest=task.digest) for task in tasks if task.digest in known]
    unknown = [task for task in tasks if task.digest not in known]
    spent = {row for row in gathered.several if row.failures > options.max_failures}
    given_up = [Outcome(task, error=GAVE_UP) for task in unknown if task.row in spent]
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
    while batch := list(islice(opened, batch_size)):
        _record(db, generation, options, _embed(embedder, batch), gathered, open_rows)


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


def _embed(
    embedder: Embedder, batch: Sequence[tuple[ImageTask, Decoded | ImageError]]
) -> list[Outcome]:
    bad = [Outcome(task, error=got) for task, got in batch if isinstance(got, ImageError)]
    good = [(task, got) for task, got in batch if not isinstance(got, ImageError)]
    vectors = _forward_checked(embedder, [decoded.image for _, decoded in good])
    return bad + [
        Outcome(task, error=vector)
        if isinstance(vector, Exception)
        else Outcome(task, digest=decoded.digest, vector=vector)
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
    outcomes: Sequence[Outcome],
    gathered: Gathered,
    open_rows: dict[Claimed, None],
) -> None:
    """Store the vectors; settle, fail or postpone the rows of which no image is left.

    In one transaction. Those rows are no longer open.
    """
    if not outcomes:
        return
    vectors = {one.digest: one.vector for one in outcomes if one.vector is not None}
    complete = list(gathered.add(outcomes))

    def write(session: Session) -> None:
        now = clock.now(session)
        verdicts = [_judge(row, every, options, now) for row, every in complete]
        new = _vectors_to_store(session, generation, outcomes, vectors)
        image_vectors.store(session, generation.fingerprint, new)
        store_digests(session, outcomes)
        generations.note_images(session, generation.id, most=_most_images(verdicts))
        _settle(session, generation, verdicts, now)

    db.write(write)
    for row, _ in complete:
        open_rows.pop(row, None)


def _vectors_to_store(
    session: Session,
    generation: Generation,
    outcomes: Sequence[Outcome],
    vectors: Mapping[str, Vector],
) -> dict[str, Vector]:
    """Return the vectors of rows that are still ours: a late one's image may have been purged."""
    rows = list({one.task.row: None for one in outcomes if one.vector is not None})
    ours = queue.still_ours(session, generation.id, rows)
    wanted = {one.digest for one in outcomes if one.task.row in ours}
    return {digest: vector for digest, vector in vectors.items() if digest in wanted}


def _settle(
    session: Session, generation: Generation, verdicts: Sequence[_Verdict], now: datetime
) -> None:
    """Record the outcome of rows."""
    further = {one.row: one.further for one in verdicts}
    settled = [(one.row, one.digest) for one in verdicts if one.digest is not None]
    failed = [one for one in verdicts if one.digest is None]
    look_again = {one.row: one.look_again for one in verdicts if one.look_again is not None}
    queue.settle_embedded(
        session, generation.id, settled, further=further, awaited=look_again, now=now
    )
    awaited = [(one.row, one.reason, one.look_again) for one in failed if one.look_again]
    queue.await_image(session, generation.id, awaited, further=further, now=now)
    permanent = [(one.row, one.reason) for one in failed if one.may_not_retry]
    queue.fail(session, generation.id, permanent, further=further)
    # Tries before the host was known to be at fault are forgotten with it.
    waiting = [(one.row, one.reason, one.wait) for one in failed if one.wait is not None]
    queue.postpone(session, generation.id, waiting, forget=True)
    for one in failed:
        if one.back_off is not None:
            again = [(one.row, one.reason)]
            queue.fail(session, generation.id, again, retry_at=now + one.back_off)


@dataclass(frozen=True)
class _Verdict:
    """What is recorded of a row: the digest of its first good image, or a reason."""

    row: Claimed
    digest: str | None
    further: FurtherImages
    reason: str = ""
    back_off: timedelta | None = None  # until it is tried again after a failure of its own
    wait: timedelta | None = None  # until it is tried again after a failure of the host
    look_again: datetime | None = None  # when an image may have come that is not there yet

    @property
    def may_not_retry(self) -> bool:
        """Whether it is not tried again."""
        return self.back_off is None and self.wait is None and self.look_again is None


def _judge(
    row: Claimed, outcomes: Sequence[Outcome], options: EmbedOptions, now: datetime
) -> _Verdict:
    """Decide what to record of a row. A bad image is left out, unless there is no good one.

    While one of the images may still be had, the row waits for it: for a few tries if it has
    another one, else for as long as the host does not answer. One that is not there yet is looked
    for later; until then the product has its other images.
    """
    errors = [one.error for one in outcomes if one.error is not None]
    good = dict.fromkeys(one.digest for one in outcomes if one.error is None)
    digest, *more = good or [None]
    several = len(outcomes) > 1
    reasons = {one.task.uri or "": reason(one.error) for one in outcomes if one.error and several}
    further = FurtherImages(digests=[each for each in more if each], errors=reasons)
    host = next((error for error in errors if isinstance(error, HostUnavailable)), None)
    if host is not None and digest is None:
        return _Verdict(row, None, further, reason(host), wait=_wait(host, options))
    waits_for = next((error for error in errors if _may_retry(row, error, options)), None)
    if waits_for is not None:
        return _Verdict(row, None, further, reason(waits_for), _back_off(row, options))
    missing = next((error for error in errors if isinstance(error, MissingImage)), None)
    if missing is not None and _may_come(row, options, now):
        again = _look_again_at(row, options, now)
        return _Verdict(row, digest, further, reason(missing), look_again=again)
    return _Verdict(row, digest, further, reason(errors[0]) if errors else "")


def _most_images(verdicts: Sequence[_Verdict]) -> int:
    """Return how many points one of these products will have at most."""
    return max((1 + len(one.further.digests) for one in verdicts), default=1)


def reason(error: Exception) -> str:
    """Return the reason of a quarantine, `code: message`."""
    if isinstance(error, LookalikeError):
        return f"{error.code}: {error.message}"
    return f"embedding-failed: {type(error).__name__}: {error}"


def _wait(error: HostUnavailable, options: EmbedOptions) -> timedelta:
    """Return how long a row waits for its image's host."""
    return max(options.retry, timedelta(seconds=error.context.get("wait", 0)))


def _may_retry(row: Claimed, error: Exception, options: EmbedOptions) -> bool:
    permanent = isinstance(error, ImageError) and not isinstance(error, RETRYABLE)
    return not permanent and row.failures < options.max_failures


def _back_off(row: Claimed, options: EmbedOptions) -> timedelta:
    return options.retry * 2.0 ** (row.failures - 1)


def _may_come(row: Claimed, options: EmbedOptions, now: datetime) -> bool:
    return now < (row.image_awaited_since or now) + options.image_wait


def _look_again_at(row: Claimed, options: EmbedOptions, now: datetime) -> datetime:
    """Wait as long again as the image was waited for, and look a last time when the time is up."""
    since = row.image_awaited_since or now
    pause = min(max(now - since, options.retry, SHORTEST_PAUSE), LONGEST_PAUSE)
    return min(now + pause, since + options.image_wait)
