"""Process jobs and queue: the embedded server in a loop, a Celery worker once per message.

A process embeds if it may load a network, and applies and runs jobs if it may write the index.
"""

from __future__ import annotations

import threading
from functools import partial

import structlog

from backend import generations, jobs, queue, reindex
from backend.bootstrap import Services
from backend.database import clock
from backend.database.failures import READS_GO_ON, meaning_of, why
from backend.errors import IndexDamaged, IndexUnavailable, LookalikeError
from backend.feeds import workspace
from backend.indexing import verify
from backend.queue import Stage, is_busy
from backend.queue.progress import Progress
from backend.vectors.edge.optimizer import Optimizer
from backend.vectors.edge.policy import Policy
from backend.worker.failures import RepeatedFailures
from backend.worker.handlers import JobHandlers, active_progress
from backend.worker.maintenance import Maintenance
from backend.worker.possible_work import PossibleWorkCache
from backend.worker.rounds import Rounds

log = structlog.get_logger(__name__)


class Worker:
    """Does what is due in this process. The caller owns the index."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.wake_up = threading.Event()
        self.problem: str | None = None  # why the last round failed
        self.optimizer = make_optimizer(services)
        self.rounds = Rounds(services, self.optimizer)
        self.possible = PossibleWorkCache(services.db)
        self.maintenance = Maintenance(services, self.possible)
        self._failures = RepeatedFailures("work failed")
        self._stopping = threading.Event()
        self.handlers = JobHandlers(
            services,
            self.rounds,
            self.optimizer,
            wait=self._wait,
            is_stopping=self._stopping.is_set,
        )

    def recover(self) -> None:
        """Free the leases and jobs of a killed process; start the first generation if need be.

        The vector store is asked first, so a wrong key is said before an image is opened. Raises
        ConfigurationError then; one that does not answer is logged, and products are embedded.
        """
        services = self.services
        check_index(services)
        workspace.remove_leftovers(services.feeds.folder)
        self._free_what_is_held()
        if services.embeds:
            services.first_generation()
            reindex.follow_settings(
                services.db,
                configured=services.settings.named_embedder,
                default=services.settings.embedder,
                embedder=services.embedders.named,
                has_workers=bool(services.settings.broker_url),
            )
        if services.settings.qdrant_url is None and services.writes_index:
            self._refill_damaged()

    def _refill_damaged(self) -> None:
        """Open the embedded index of each live generation; have a damaged one filled again."""
        services = self.services
        with services.db.read() as session:
            live = generations.live(session)
        for generation in live:
            try:
                services.indexes.of(generation).ping()
            except IndexDamaged:
                verify.refill(
                    services.db,
                    generation,
                    index_of=services.indexes.of,
                    close_index=services.indexes.close,
                )
            except IndexUnavailable as error:
                log.warning("an index cannot be opened yet", error=error.message)

    def _free_what_is_held(self) -> None:
        """Free what only a killed predecessor of this process can have held.

        Without a broker no other process works on the queue. Beside one, other workers embed, but
        only the owner of an embedded index applies and runs jobs.
        """
        db, owns_index = self.services.db, self.services.owner.is_here
        if self.services.settings.broker_url and not owns_index:
            return
        if not self.services.settings.broker_url:
            db.write(clock.start_anew)
            freed = db.write(queue.free_leases)
        elif self.services.settings.qdrant_url:
            return
        else:
            freed = db.write(partial(queue.free_leases, stage=Stage.APPLY))
        jobs.free(db)
        log.info("recovered", freed_leases=freed)

    def run(self) -> None:
        """Work until `stop`. Looks for work every `poll_seconds`, and after a notification."""
        while not self._stopping.is_set():
            try:
                busy = self.work_once()
                self.services.recall.compare(self.services.indexes.of)
                if self.services.writes_index:
                    self.services.coverage.refresh()
                if not busy:
                    self.maintenance.reconcile_if_due()
                    self.maintenance.calibrate_if_due()
                self.problem = None
                self._failures.end()
            except LookalikeError as error:
                said = f"failed: {error.message}"
                busy, self.problem = False, said
                self._failures.note(said, code=error.code)
            except Exception as error:  # noqa: BLE001  (one failed round must not end the thread)
                meaning, said = meaning_of(error), _explain(error)
                busy, self.problem = False, None if isinstance(meaning, READS_GO_ON) else said
                self._failures.note(said, error=repr(error), exc_info=meaning is None)
            if not busy:
                self._wait(self._failures.pause(self.services.settings.poll_seconds))
        self.optimizer.stop()

    def stop(self) -> None:
        """Let the loop end after its current round."""
        self._stopping.set()
        self.wake_up.set()

    def work_once(self) -> bool:
        """Run one job or one round of both stages; return whether there was anything to do."""
        self.possible.begin_round()
        self.maintenance.heal_if_due()
        self.maintenance.request_due_feeds()
        self.maintenance.record_presence_if_due()
        self.maintenance.tend_events_if_due()
        self.maintenance.sample_queue_if_due()
        ran = self._run_next_job()
        busy = self.rounds.run_one(is_due=self.possible.now().queue) or ran
        busy = self.maintenance.count_events() or busy
        if not busy:
            self.maintenance.prepare_related_if_due()
        busy = busy or self.maintenance.adapt_if_due()
        return self.maintenance.clean_up_if_due(idle=not busy) or busy

    def _run_next_job(self) -> bool:
        if not self.services.writes_index or not self.possible.now().jobs:
            return False
        ran = self.handlers.run_next()
        self.possible.forget()
        return ran

    def progress(self) -> Progress:
        """Count the active generation's products by state."""
        return active_progress(self.services.db)

    def _wait(self, seconds: float) -> None:
        """Wait for a notification, at most `seconds`."""
        self.wake_up.wait(seconds)
        self.wake_up.clear()


def check_index(services: Services) -> None:
    """Ask the vector store for the active generation's index; log a warning if it is away.

    Raises ConfigurationError when it refuses, or holds something else under that name.
    """
    with services.db.read() as session:
        generation = generations.active_or_none(session)
    try:
        services.indexes.check(generation)
    except IndexUnavailable as error:
        log.warning("the vector store does not answer yet", error=error.message)


def _explain(error: Exception) -> str:
    """Return why a round failed; what the database's host lacks, in its words."""
    if meaning := meaning_of(error):
        return f"failed: {meaning.message.rstrip('.')}: {why(error)}"
    return f"failed: {error}"


def make_optimizer(services: Services) -> Optimizer:
    """Return what builds the graphs of this process' embedded indexes."""
    settings = services.settings
    return Optimizer(
        database_url=settings.database,
        policy=Policy(points=settings.optimize_points, dirty=settings.optimize_dirty),
        threads=settings.optimize_threads,
        shard_of=services.indexes.shard_of,
        is_busy=lambda generation: is_busy(services.db, generation.id),
        heartbeat=services.heartbeat,
    )
