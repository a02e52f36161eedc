"""What runs each verb of a job: `index`, `verify`, `optimize`, and those of a re-index."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any, Final

from backend import generations, jobs, queue
from backend.bootstrap import Services
from backend.database.engine import Database
from backend.database.models import LIVE, Generation
from backend.errors import WrongState
from backend.indexing import verify
from backend.jobs import Handler, Interrupted, Report
from backend.queue.progress import Progress, progress
from backend.vectors.edge.optimizer import Optimizer
from backend.worker.rounds import FirstError, Rounds

COUNT_EVERY_SECONDS: Final = 2.0
HOST_PATIENCE: Final = 4
"""First back-offs (LOOKALIKE_RETRY_SECONDS) for which a job waits for the host."""


class JobHandlers:
    """Runs jobs in the worker's thread; during a long job the queue is processed too.

    `wait` waits up to some seconds for a notification, `is_stopping` tells whether to end soon.
    """

    def __init__(
        self,
        services: Services,
        rounds: Rounds,
        optimizer: Optimizer,
        *,
        wait: Callable[[float], None],
        is_stopping: Callable[[], bool],
    ) -> None:
        self._services = services
        self._rounds = rounds
        self._optimizer = optimizer
        self._wait = wait
        self._is_stopping = is_stopping
        self._short = services.reindex_jobs.handlers()  # these also run beside a long job
        self._all: dict[str, Handler] = {
            **self._short,
            "index": self._index,
            "verify": self._verify,
            "optimize": self._optimize,
        }

    def run_next(self) -> bool:
        """Run a step of the next job; return whether there was one."""
        return jobs.run_next(self._services.db, self._all)

    def _index(self, _arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
        """Work until nothing is pending; wait for back-offs and other processes' leases.

        When all that is left waits for the host, wait for that no longer than a few back-offs: an
        image host may be gone for days. The queue goes on trying.
        """
        counted_at, stuck_since = 0.0, math.inf
        while True:
            busy = self._rounds.run_one()
            if busy and time.monotonic() - counted_at < COUNT_EVERY_SECONDS:
                continue
            counted_at = time.monotonic()
            jobs.run_next(self._services.db, self._short)
            now = active_progress(self._services.db)
            report(now.products - now.pending, now.products)
            if self._is_stopping() and not now.at_rest:
                raise Interrupted
            if now.at_rest:
                return {"indexed": now.indexed, "quarantined": now.quarantined}
            waiting = now.pending and now.pending == count_waiting(self._services.db)
            stuck_since = min(stuck_since, time.monotonic()) if waiting else math.inf
            patience = HOST_PATIENCE * self._services.settings.retry_seconds
            if time.monotonic() - stuck_since > patience:
                outcome = {"indexed": now.indexed, "quarantined": now.quarantined}
                return {**outcome, "waiting": now.pending}
            if not busy:
                self._wait(self._services.settings.poll_seconds)

    def _verify(self, arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
        """Compare index and SQL; with `fix`, repair the differences and work until it is done."""
        services = self._services
        fix, full = bool(arguments.get("fix")), bool(arguments.get("full"))

        def step(done: int, total: int | None) -> None:
            services.heartbeat()
            report(done, total)

        with services.db.read() as session:
            live = generations.live(session)
        result = verify.verify(
            services.db,
            live,
            index_of=services.indexes.of,
            close_index=services.indexes.close,
            fix=fix,
            full=full,
            report=step,
        )
        if fix and result["drift"]:
            self._index({}, report)
        return result

    def _optimize(self, arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
        """Build the shard of a generation, by default the active one, while the work goes on."""
        generation = self._live_generation(arguments.get("generation"))
        built = self._optimizer.run(generation, meanwhile=partial(self._work_beside, report))
        return {"generation": generation.id} | asdict(built)

    def _live_generation(self, generation_id: int | None) -> Generation:
        with self._services.db.read() as session:
            if generation_id is None:
                return generations.active(session)
            found = generations.by_id(session, generation_id)
        if found.state not in LIVE:
            raise WrongState(f"generation {found.id} is {found.state}: its index is not in use")
        return found

    def _work_beside(self, report: Report) -> None:
        """Work for a moment while a build goes on; raises Interrupted if the worker must stop."""
        if self._is_stopping():
            raise Interrupted
        report(*self._optimizer.progress)
        busy = False
        with FirstError():
            busy = jobs.run_next(self._services.db, self._short) or self._rounds.run_one()
        if not busy:
            self._wait(min(self._services.settings.poll_seconds, 0.2))


def active_progress(db: Database) -> Progress:
    """Count the active generation's products by state."""
    with db.read() as session:
        generation = generations.active_or_none(session)
        return progress(session, generation.id if generation else None)


def count_waiting(db: Database) -> int:
    """Count the active generation's products that wait for the host."""
    with db.read() as session:
        generation = generations.active_or_none(session)
        return queue.count_waiting(session, generation.id) if generation else 0
