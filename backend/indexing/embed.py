"""The first stage: the images of due rows become vectors in SQL."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from backend import generations, queue
from backend.catalogue import image_vectors
from backend.database import clock
from backend.database.engine import Database
from backend.database.models import Generation
from backend.embedders import Embedder
from backend.errors import (
    DatabaseUnavailable,
    DecoderBusy,
    DecoderDied,
    DecoderUnavailable,
    EmbedderFailed,
    ImageUnavailable,
    IndexRefused,
)
from backend.generations import check_fingerprint
from backend.images.open_images import ImageOpener
from backend.indexing import kept_features, row_outcomes
from backend.indexing.forward_passes import Opened, embed_images
from backend.indexing.image_tasks import (
    Gathered,
    ImageOutcome,
    ImageTask,
    read_tasks,
    store_digests,
)
from backend.indexing.row_outcomes import RetryLimits, reason
from backend.outages import Outages
from backend.queue import REINDEX, Claimed, Stage, Unreturned
from backend.vectors import Vector

HOST_FAULTS: Final = (DecoderBusy, DecoderUnavailable, EmbedderFailed)
"""What keeps this process from embedding any image."""

HOST_CODES: Final = tuple(
    sorted({kind.code for kind in (*HOST_FAULTS, ImageUnavailable, IndexRefused)})
)
"""Codes of the quarantine's reasons that may be the host's fault, and so are tried again."""

GAVE_UP: Final = DecoderDied(queue.EXHAUSTED.partition(": ")[2])
"""Why an image has no vector whose product has used all attempts in processes that died."""


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
    stage = _EmbedStage(db, generation, embedder, image_opener, options)
    taken = 0
    for failed_before in (False, True):
        claimed = stage.claim(failed_before=failed_before, up_to=up_to)
        if claimed and not stage.work_or_give_back(claimed):
            break
        taken += len(claimed)
    return taken


def outage_of(generation: Generation) -> str:
    """Return the name of an outage in which this process cannot embed for a generation."""
    return f"embedding for generation {generation.id}"


@dataclass(frozen=True)
class _EmbedStage:
    """What claims of one generation are embedded with."""

    db: Database
    generation: Generation
    embedder: Embedder
    image_opener: ImageOpener
    options: EmbedOptions

    def claim(self, *, failed_before: bool, up_to: int) -> list[Claimed]:
        """Claim due rows; where the database fails meanwhile, they are given back later."""
        claimed: list[Claimed] = []

        def claim(session: Session) -> None:
            claimed[:] = queue.claim(
                session,
                self.generation.id,
                Stage.EMBED,
                limit=1 if failed_before else self.options.claim_size,
                lease=self.options.lease,
                failed_before=failed_before,
                up_to=up_to,
            )

        def give_back(session: Session) -> None:
            left = [(row, queue.DATABASE_FAILED, timedelta()) for row in claimed]
            queue.postpone(session, self.generation.id, left)

        with self.options.unreturned.kept(give_back):
            self.db.write(claim)
        return claimed

    def work_or_give_back(self, claimed: Sequence[Claimed]) -> bool:
        """Work on a claim; return False if this process cannot embed now.

        Whatever interrupts the work, the rows that are left wait, and their claim counts for
        nothing.
        """
        outages, what = self.options.outages, outage_of(self.generation)
        open_rows = dict.fromkeys(claimed)
        try:
            self._work(open_rows)
        except HOST_FAULTS as error:
            seconds = outages.fail(what, reason(error))
            self._give_back(open_rows, error, timedelta(seconds=seconds))
            return False
        except Exception as error:
            with suppress(SQLAlchemyError, DatabaseUnavailable):  # it may be the database
                self._give_back(open_rows, error, self.options.retry)
            raise
        outages.work(what)
        return True

    def _give_back(self, rows: Iterable[Claimed], error: Exception, wait: timedelta) -> None:
        left = [(row, reason(error), wait) for row in rows]

        def give_back(session: Session) -> None:
            queue.postpone(session, self.generation.id, left)

        with self.options.unreturned.kept(give_back):
            self.db.write(give_back)

    def _work(self, open_rows: dict[Claimed, None]) -> None:
        """Work on a claim. Rows leave `open_rows` as soon as their outcome is recorded."""
        with self.db.read() as session:
            tasks = read_tasks(session, list(open_rows))
            known = self._read_known(session, tasks)
        gathered = Gathered(tasks)
        ready = [
            ImageOutcome(task, digest=task.digest, vector=known[task.digest])
            for task in tasks
            if task.digest and task.digest in known
        ]
        unknown = [task for task in tasks if task.digest not in known]
        spent = {row for row in gathered.several if row.failures > self.options.max_failures}
        given_up = [ImageOutcome(task, error=GAVE_UP) for task in unknown if task.row in spent]
        self._record([*ready, *given_up], gathered, open_rows)
        left = [task for task in unknown if task.row not in spent]
        with closing(self._embed(left)) as batches:
            for outcomes in batches:
                self._record(outcomes, gathered, open_rows)

    def _read_known(self, session: Session, tasks: Iterable[ImageTask]) -> dict[str, Vector | None]:
        """Return, by digest, the images that need no forward pass.

        Each with its vector, made of stored features; None where the vector is stored itself.
        """
        digests = {task.digest for task in tasks if task.digest}
        stored = image_vectors.known(session, self.generation.fingerprint, digests)
        made = kept_features.project_kept(session, self.embedder, digests - stored)
        return {**dict.fromkeys(stored), **made}

    def _embed(self, tasks: list[ImageTask]) -> Generator[list[ImageOutcome]]:
        """Open and embed images; yield the outcomes of each batch."""
        options, opener = self.options, self.image_opener
        batch_size, passes = options.batch_size, options.passes
        if any(task.row.failures > 1 for task in tasks):
            tasks, batch_size = _one_by_one(tasks), 1
        else:
            tasks.sort(key=lambda task: opener.is_doubtful(task.uri))  # who may wait goes last
        if batch_size == 1:
            passes = 0
        uris = [task.uri for task in tasks]
        found = opener.open(uris, self.embedder.input_size, heartbeat=options.heartbeat)
        opened = zip(tasks, _with_heartbeat(found, options.heartbeat), strict=True)
        return embed_images(self.embedder, opened, batch_size=batch_size, passes=passes)

    def _record(
        self,
        outcomes: Sequence[ImageOutcome],
        gathered: Gathered,
        open_rows: dict[Claimed, None],
    ) -> None:
        """Store the vectors; settle, fail or postpone the rows of which no image is left.

        In one transaction. Those rows are no longer open.
        """
        if not outcomes:
            return
        complete = list(gathered.add(outcomes))

        def write(session: Session) -> None:
            now = clock.now(session)
            rows = [row_outcomes.decide(row, every, self.options, now) for row, every in complete]
            self._store_vectors(session, outcomes)
            store_digests(session, outcomes)
            most = row_outcomes.most_images(rows)
            generations.store_most_images(session, self.generation.id, most=most)
            row_outcomes.record(session, self.generation, rows, now)

        self.db.write(write)
        for row, _ in complete:
            open_rows.pop(row, None)

    def _store_vectors(self, session: Session, outcomes: Sequence[ImageOutcome]) -> None:
        """Store vectors and features of rows that are still ours.

        A late row's image may have been purged.
        """
        made = [one for one in outcomes if one.vector is not None]
        rows = list({one.task.row: None for one in made})
        ours = queue.still_ours(session, self.generation.id, rows)
        kept = [one for one in made if one.task.row in ours]
        vectors = {one.digest: one.vector for one in kept if one.vector is not None}
        image_vectors.store(session, self.generation.fingerprint, vectors)
        if self.generation.features is not None:
            features = {one.digest: one.features for one in kept if one.features is not None}
            image_vectors.store(session, self.generation.features, features, may_replace=True)


def _one_by_one(tasks: list[ImageTask]) -> list[ImageTask]:
    """Order the images of a row that has failed before, to find one that kills the process.

    They are embedded and stored one by one, from either end in turn: so only those between two
    images that kill the process are never reached.
    """
    return tasks[::-1] if tasks[0].row.failures % 2 == 0 else tasks


def _with_heartbeat(found: Iterator[Opened], heartbeat: Callable[[], None]) -> Iterator[Opened]:
    for one in found:
        heartbeat()
        yield one
