"""The embedded worker: whoever owns the index works off jobs and queue, in one loop."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any, Final

import structlog

from backend import generations, indexing, jobs
from backend.bootstrap import Services
from backend.catalogue import outbox
from backend.catalogue.models import Generation
from backend.catalogue.progress import Progress, progress
from backend.indexing import Drift
from backend.jobs import Report

log = structlog.get_logger(__name__)

COUNT_EVERY_SECONDS: Final = 1.0
RECONCILE_EVERY_SECONDS: Final = 60.0


class Worker:
    """Works off what is due in this process. The caller owns the index."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.bell = threading.Event()
        self._stopping = threading.Event()
        self._handlers = {"index": self._index, "verify": self._verify}
        self._reconciled = time.monotonic()

    def take_over(self) -> None:
        """Free what a killed predecessor held, and see that there is a generation to fill."""
        services = self.services
        services.first_generation()
        if not services.settings.broker_url:
            freed = services.db.write(outbox.free_leases)
            log.info("took over", freed_leases=freed)

    def run(self) -> None:
        """Work until `stop`, looking every second and at once when the bell rings."""
        while not self._stopping.is_set():
            try:
                busy = self.work_once()
            except Exception as error:  # the thread must outlive one bad round
                log.exception("work failed", error=repr(error))
                busy = False
            if not busy:
                self._reconcile_a_little()
                self.bell.wait(self.services.settings.poll_seconds)
                self.bell.clear()

    def stop(self) -> None:
        """Let the loop end after what it is doing."""
        self._stopping.set()
        self.bell.set()

    def work_once(self) -> bool:
        """Run one job or one round of both stages; return whether there was anything to do."""
        ran = jobs.run_next(self.services.db, self._handlers)
        return self._round() or ran

    def _round(self) -> bool:
        with self.services.db.read() as session:
            live = generations.live(session)
        worked = [self._work_generation(generation) for generation in live]
        return any(worked)

    def _work_generation(self, generation: Generation) -> bool:
        services = self.services
        embedded = indexing.embed_pending(
            services.db,
            generation,
            embedder=services.embedder_of(generation),
            pictures=services.pictures,
            options=services.embed_options,
        )
        applied = indexing.apply_pending(
            services.db, generation, services.index_of(generation), lease=services.lease
        )
        return bool(embedded or applied)

    def _index(self, arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
        """Work until nothing is pending, waiting out back-offs and other processes' leases."""
        counted = 0.0
        while True:
            busy = self._round()
            if busy and time.monotonic() - counted < COUNT_EVERY_SECONDS:
                continue
            counted = time.monotonic()
            now = self.progress()
            report(now.products - now.pending, now.products)
            if now.at_rest or self._stopping.is_set():
                return {"indexed": now.indexed, "quarantined": now.quarantined}
            if not busy:
                self.bell.wait(self.services.settings.poll_seconds)
                self.bell.clear()

    def _verify(self, arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
        """Compare index and SQL; with `fix`, heal the difference and work until it is gone."""
        fix = bool(arguments.get("fix"))
        found = Drift()
        with self.services.db.read() as session:
            live = generations.live(session)
        for generation in live:
            index = self.services.index_of(generation)
            found.add(
                indexing.reconcile(self.services.db, generation, index, fix=fix, report=report)
            )
        if fix and found.total:
            self._index({}, report)
        return found.summary() | {"fixed": fix}

    def progress(self) -> Progress:
        """Count the active generation's products by state."""
        with self.services.db.read() as session:
            generation = generations.active_or_none(session)
            return progress(session, generation.id if generation else None)

    def _reconcile_a_little(self) -> None:
        """Compare the next range of ids with SQL: a slow full pass beside the daily work."""
        if time.monotonic() - self._reconciled < RECONCILE_EVERY_SECONDS:
            return
        self._reconciled = time.monotonic()
        with self.services.db.read() as session:
            live = generations.live(session)
        for generation in live:
            index = self.services.index_of(generation)
            drift = indexing.reconcile_slice(self.services.db, generation, index)
            if drift.total:
                log.warning("healed drift", generation=generation.id, **drift.summary())
