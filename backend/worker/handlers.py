"""What runs each verb of a job: `index`, `verify`, `optimize`, `purge`, those of a re-index."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any, Final

from backend import generations, jobs
from backend.bootstrap import Services
from backend.database.engine import Database
from backend.database.models import LIVE, Generation
from backend.errors import WrongState
from backend.indexing import verify
from backend.indexing.purge import purge
from backend.jobs import Handler, Interrupted, Report
from backend.queue.progress import Progress, progress
from backend.vectors.edge.optimizer import Optimizer
from backend.worker.maintenance import wake_awaited
from backend.worker.rounds import FirstError, Rounds

COUNT_EVERY_SECONDS: Final = 2.0


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
        self._short: dict[str, Handler] = {  # these also run beside a long job
            **services.reindex_jobs.handlers(),
            "purge": self._purge,
        }
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

        Images that are still to come are looked for once, and not waited for.
        """
        counted_at = 0.0
        wake_awaited(self._services.db)
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
                return {
                    "indexed": now.indexed,
                    "quarantined": now.quarantined,
                    "awaited": now.awaited,
                }
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

    def _purge(self, arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
        """Take products down, with what no other product names."""
        services = self._services
        with services.db.read() as session:
            live = generations.live(session)
        return purge(
            services.db,
            services.image_store,
            live,
            index_of=services.indexes.of,
            skus=arguments["skus"],
            everywhere=bool(arguments.get("everywhere")),
            report=report,
        )

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
