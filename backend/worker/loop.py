"""Work off jobs and queue: the embedded server in a loop of its own, a Celery worker per knock.

What a process does follows from what it has: it embeds if it may load a network, and applies and
runs jobs if it may write the index.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from math import inf
from types import TracebackType
from typing import Any, Final

import structlog

from backend import generations, indexing, jobs, reindex
from backend.bootstrap import Services
from backend.database.models import LIVE, Generation
from backend.errors import IndexGone, LookalikeError, ModelMismatch, WrongState
from backend.indexing import verify
from backend.jobs.run import Interrupted, Report
from backend.queue import entries
from backend.queue.entries import REINDEX, SINGLE, Stage
from backend.queue.progress import Progress, progress
from backend.worker.claim_size import ClaimSize

log = structlog.get_logger(__name__)

SINGLE_SHARE: Final = 1
"""Batches of a round for single writes, in each generation; beside whatever is most urgent."""

COUNT_EVERY_SECONDS: Final = 2.0
TELL_EVERY_SECONDS: Final = 60.0
TIDY_SECONDS: Final = 1.0
BUSY_TIDY_SECONDS: Final = 10.0


class _Trouble(AbstractContextManager[None]):
    """Keeps what goes wrong with one generation from the others, and remembers the first of it."""

    def __init__(self) -> None:
        self.first: LookalikeError | None = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if not isinstance(error, LookalikeError):
            return False
        log.warning("one generation fails", error=error.message)
        self.first = self.first or error
        return True


class Worker:
    """Works off what is due in this process. The caller owns the index."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.wake_up = threading.Event()
        self.trouble: str | None = None  # why the last round failed
        self._stopping = threading.Event()
        self._short_jobs = services.reindex_jobs().handlers()  # run beside a long job, too
        self._handlers = {
            **self._short_jobs,
            "index": self._index,
            "verify": self._verify,
            "optimize": self._optimize,
        }
        self._reconciled = self._tidied = time.monotonic()
        self._told: dict[int, float] = {}
        self._pace = ClaimSize()
        self.optimizer = services.optimizer()
        self._promoter = services.promoter()

    def recover(self) -> None:
        """Free what a killed predecessor held, and see that there is a generation to fill."""
        services = self.services
        if services.embeds:
            services.first_generation()
            reindex.follow_settings(
                services.db,
                configured=services.settings.embedder,
                embedder=services.embedder,
                has_workers=bool(services.settings.broker_url),
            )
        if not services.settings.broker_url:
            jobs.free(services.db)
            freed = services.db.write(entries.free_leases)
            log.info("took over", freed_leases=freed)

    def run(self) -> None:
        """Work until `stop`, looking every second and at once when the bell rings."""
        while not self._stopping.is_set():
            try:
                busy = self.work_once()
                self.services.recall.compare(self.services.index_of)
                if not busy:
                    self._reconcile_a_little()
                self.trouble = None
            except LookalikeError as error:
                log.warning("work failed", code=error.code, error=error.message)
                busy, self.trouble = False, f"failed: {error.message}"
            except Exception as error:  # the thread must outlive one bad round
                log.exception("work failed", error=repr(error))
                busy, self.trouble = False, f"failed: {error}"
            if not busy:
                self.wake_up.wait(self.services.settings.poll_seconds)
                self.wake_up.clear()
        self.optimizer.stop()

    def stop(self) -> None:
        """Let the loop end after what it is doing."""
        self._stopping.set()
        self.wake_up.set()

    def work_once(self) -> bool:
        """Run one job or one round of both stages; return whether there was anything to do."""
        may_run_jobs = self.services.writes_index
        ran = may_run_jobs and jobs.run_next(self.services.db, self._handlers)
        busy = self._round() or ran
        return self._tidy_a_little(idle=not busy) or busy

    def reconcile(self) -> None:
        """Compare the next range of ids with the index, generation by generation, and heal it."""
        self._promoter.publish_active()
        for generation in self._live():
            index = verify.sound_index(
                generation,
                index_of=self.services.index_of,
                close_index=self.services.close_index,
                fix=True,
            )
            drift = indexing.reconcile_slice(self.services.db, generation, index)
            if drift.total:
                self._reconciled = -inf  # where something is wrong, the next range is due at once
                log.warning("healed drift", generation=generation.id, **drift.summary())

    def progress(self) -> Progress:
        """Count the active generation's products by state."""
        with self.services.db.read() as session:
            generation = generations.active_or_none(session)
            return progress(session, generation.id if generation else None)

    def _live(self) -> list[Generation]:
        with self.services.db.read() as session:
            return generations.live(session)

    def _round(self) -> bool:
        """Work on every generation, whatever the others' trouble; raise it if that was all."""
        self.services.heartbeat()
        live, trouble, taken = self._live(), _Trouble(), 0
        if self.services.embeds:
            taken += self._embed_urgent(live, trouble)
        if self.services.writes_index:
            for generation in live:
                with trouble:
                    taken += self._apply(generation)
            with trouble:
                self.optimizer.step(live)
        if trouble.first and not taken:
            raise trouble.first
        return taken > 0

    def _embed_urgent(self, live: Sequence[Generation], trouble: _Trouble) -> int:
        """Embed single writes of all generations, then one batch of what is most urgent.

        So a new product waits neither behind a million old ones nor behind a re-index.
        """
        with self.services.db.read() as session:
            first = [(entries.first_due(session, one.id, Stage.EMBED), one) for one in live]
        first = [(priority, one) for priority, one in first if self._can_embed(priority, one)]
        waiting = [(priority, one) for priority, one in first if priority is not None]
        singles = [one for priority, one in waiting if priority == SINGLE]
        urgent = [one for _, one in sorted(waiting, key=lambda pair: pair[0])]
        taken = 0
        for generation in singles:
            with trouble:
                taken += self._embed(generation, batches=SINGLE_SHARE, up_to=SINGLE)
        for generation in urgent:
            with trouble:
                if count := self._embed_at_pace(generation):
                    return taken + count
        return taken

    def _embed_at_pace(self, generation: Generation) -> int:
        """Embed what is most urgent, as much as lasts about two seconds."""
        began = time.monotonic()
        taken = self._embed(generation, batches=self._pace.batches)
        if taken >= self._pace.batches * self.services.embedder_of(generation).batch_size:
            self._pace.learn(time.monotonic() - began)
        return taken

    def _can_embed(self, priority: int | None, generation: Generation) -> bool:
        """Tell whether the embedder of a generation that waits for it is here.

        An upgrade may have replaced it. Then its products stay as they are indexed, and wait for
        the next generation; everything else goes on.
        """
        if priority is None:
            return False
        try:
            self.services.embedder_of(generation)
        except ModelMismatch as error:
            if time.monotonic() >= self._told.get(generation.id, 0) + TELL_EVERY_SECONDS:
                self._told[generation.id] = time.monotonic()
                command = f"lookalike reindex --embedder '{self.services.settings.embedder}'"
                log.warning(
                    "products wait for an embedder that is not here",
                    generation=generation.id,
                    error=error.message,
                    run=command,
                )
            return False
        return True

    def _embed(self, generation: Generation, *, batches: int, up_to: int = REINDEX) -> int:
        services = self.services
        embedder = services.embedder_of(generation)
        return indexing.embed_pending(
            services.db,
            generation,
            embedder=embedder,
            image_opener=services.image_opener,
            options=services.embed_options(embedder, batches=batches),
            up_to=up_to,
        )

    def _apply(self, generation: Generation) -> int:
        services = self.services
        index = services.index_of(generation)
        try:
            return indexing.apply_pending(services.db, generation, index, lease=services.lease)
        except IndexGone:
            verify.refill(
                services.db,
                generation,
                index_of=services.index_of,
                close_index=services.close_index,
            )
            raise

    def _index(self, arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
        """Work until nothing is pending, waiting out back-offs and other processes' leases."""
        counted = 0.0
        while True:
            busy = self._round()
            if busy and time.monotonic() - counted < COUNT_EVERY_SECONDS:
                continue
            counted = time.monotonic()
            jobs.run_next(self.services.db, self._short_jobs)
            now = self.progress()
            report(now.products - now.pending, now.products)
            if self._stopping.is_set() and not now.at_rest:
                raise Interrupted
            if now.at_rest:
                return {"indexed": now.indexed, "quarantined": now.quarantined}
            if not busy:
                self.wake_up.wait(self.services.settings.poll_seconds)
                self.wake_up.clear()

    def _verify(self, arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
        """Compare index and SQL; with `fix`, heal the difference and work until it is gone."""
        fix, full = bool(arguments.get("fix")), bool(arguments.get("full"))

        def step(done: int, total: int | None) -> None:
            self.services.heartbeat()
            report(done, total)

        result = verify.verify(
            self.services.db,
            self._live(),
            index_of=self.services.index_of,
            close_index=self.services.close_index,
            fix=fix,
            full=full,
            report=step,
        )
        if fix and result["drift"]:
            self._index({}, report)
        return result

    def _optimize(self, arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
        """Build the shard of a generation, by default the active one, while the work goes on."""
        generation = self._live_one(arguments.get("generation"))
        built = self.optimizer.run(generation, meanwhile=partial(self._work_beside, report))
        return {"generation": generation.id} | asdict(built)

    def _live_one(self, generation_id: int | None) -> Generation:
        with self.services.db.read() as session:
            if generation_id is None:
                return generations.active(session)
            found = generations.by_id(session, generation_id)
        if found.state not in LIVE:
            raise WrongState(f"generation {found.id} is {found.state}: nobody asks its index")
        return found

    def _work_beside(self, report: Report) -> None:
        """Work on for a moment while a build goes on; raises Interrupted when told to stop."""
        if self._stopping.is_set():
            raise Interrupted
        report(*self.optimizer.progress)
        busy = False
        with _Trouble():
            busy = jobs.run_next(self.services.db, self._short_jobs) or self._round()
        if not busy:
            self.wake_up.wait(min(self.services.settings.poll_seconds, 0.2))
            self.wake_up.clear()

    def _tidy_a_little(self, *, idle: bool) -> bool:
        """Clear away now and then what retired generations left; tell whether there is more."""
        if not self.services.writes_index:
            return False
        pause = TIDY_SECONDS if idle else BUSY_TIDY_SECONDS
        if time.monotonic() < self._tidied + pause:
            return False
        more = self.clean_up()
        self._tidied = time.monotonic() - (TIDY_SECONDS if more else 0)
        return more

    def clean_up(self) -> bool:
        """Delete some of what retired generations left; return whether there is more."""
        settings = self.services.settings
        return reindex.clean_up(
            self.services.db,
            keep=timedelta(hours=settings.standby_hours),
            drop_after=timedelta(seconds=settings.drop_seconds),
            drop_index=self.services.drop_index,
            keep_embedders=self.services.embedders.keep,
        )

    def _reconcile_a_little(self) -> None:
        """Reconcile now and then: a slow full pass beside the daily work."""
        due = self._reconciled + self.services.settings.reconcile_seconds
        if time.monotonic() >= due and self.services.writes_index:
            self._reconciled = time.monotonic()
            self.reconcile()
