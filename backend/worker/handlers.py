"""What runs each verb of a job, such as `index`, `verify`, `feed`, `import`, or a re-index."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final

from backend import generations, indexing, jobs, queue
from backend.bootstrap import Services
from backend.catalogue.product_lines import import_lines
from backend.database.engine import Database
from backend.database.models import LIVE, Generation
from backend.errors import WrongState
from backend.feeds.importing import Progress as FeedProgress
from backend.feeds.schedule import VERB
from backend.indexing import verify
from backend.indexing.purge import purge
from backend.jobs import Cancelled, Handler, Interrupted, Report, Superseded, inputs
from backend.logs import RunLog
from backend.queue.counting import GOOD_FOR
from backend.queue.progress import Progress, progress
from backend.search import rule_preview
from backend.vectors.edge.optimizer import Optimizer
from backend.worker.feed_thread import FeedThread
from backend.worker.maintenance import wake_awaited
from backend.worker.rounds import FirstError, Rounds

COUNT_EVERY_SECONDS: Final = 2.0
HOST_PATIENCE: Final = 4
"""First back-offs (LOOKALIKE_RETRY_SECONDS) for which a job waits for the host."""
FEED_SECONDS: Final = 0.02
"""How long a running feed is waited for, between two rounds of other work."""


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
            rule_preview.VERB: self._preview_rules,
        }
        self._all: dict[str, Handler] = {
            **self._short,
            "index": _logged("index", self._index),
            "verify": _logged("verify", self._verify),
            "optimize": _logged("optimize", self._optimize),
            VERB: self._feed,
            jobs.IMPORT: _logged(jobs.IMPORT, self._import),
        }

    def run_next(self) -> bool:
        """Run a step of the next job; return whether there was one."""
        return jobs.run_next(self._services.db, self._all)

    def _index(self, _arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
        """Work until nothing is pending; wait for back-offs and other processes' leases.

        When all that is left waits for the host, wait for that no longer than a few back-offs: an
        image host may be gone for days. The queue goes on trying. Images that are still to come
        are looked for once, and not waited for.
        """
        wake_awaited(self._services.db)
        looked_at, stuck_since = 0.0, math.inf
        counts = PacedProgress(self._services.db)
        while True:
            busy = self._rounds.run_one()
            if busy and time.monotonic() - looked_at < COUNT_EVERY_SECONDS:
                continue
            looked_at = time.monotonic()
            jobs.run_next(self._services.db, self._short)
            now = counts.current(busy=busy)
            report(now.products - now.pending, now.products)
            if self._is_stopping() and not now.at_rest:
                raise Interrupted
            if now.at_rest:
                return _outcome(now)
            left = now.pending - now.awaited
            waiting = left and left == count_waiting(self._services.db)
            stuck_since = min(stuck_since, time.monotonic()) if waiting else math.inf
            patience = HOST_PATIENCE * self._services.settings.retry_seconds
            if time.monotonic() - stuck_since > patience:
                return {**_outcome(now), "waiting": left}
            if not busy:
                self._wait(self._services.settings.poll_seconds)

    def _preview_rules(self, arguments: Mapping[str, Any], _report: Report) -> dict[str, Any]:
        found = self._services
        schema = indexing.schema(found.settings.facets)
        tried = rule_preview.RuleTrial(**arguments)
        return rule_preview.preview(found.db, found.similar, schema, tried)

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

        def meanwhile() -> None:
            self._work_beside(report, self._optimizer.progress)

        built = self._optimizer.run(generation, meanwhile=meanwhile)
        return {"generation": generation.id} | asdict(built)

    def _live_generation(self, generation_id: int | None) -> Generation:
        with self._services.db.read() as session:
            if generation_id is None:
                return generations.active(session)
            found = generations.by_id(session, generation_id)
        if found.state not in LIVE:
            raise WrongState(f"generation {found.id} is {found.state}: its index is not in use")
        return found

    def _feed(self, arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
        """Fetch and import a feed in a thread, while the work goes on."""
        feed_id, force = int(arguments["feed"]), bool(arguments.get("force"))

        def run(progress: FeedProgress) -> dict[str, Any]:
            return self._services.feeds.run(feed_id, force=force, progress=progress)

        with FeedThread(run) as thread:
            while not thread.wait(FEED_SECONDS):
                self._work_beside(report, thread.progress)
            report(*thread.progress)
            return thread.result()

    def _import(self, arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
        """Store the products that a client has sent as lines, while the work goes on."""
        services, total = self._services, int(arguments["lines"])

        def step(done: int) -> None:
            self._work_beside(report, (done, total))

        lines = inputs.lines(services.db, int(arguments["input"]))
        hosts = services.settings.image_hosts
        return import_lines(services.db, lines, hosts=hosts, step=step).as_json()

    def _work_beside(self, report: Report, now: tuple[int, int | None]) -> None:
        """Work for a moment while something goes on; raises Interrupted if the worker must stop."""
        if self._is_stopping():
            raise Interrupted
        report(*now)
        busy = False
        with FirstError():
            busy = jobs.run_next(self._services.db, self._short) or self._rounds.run_one()
        if not busy:
            self._wait(min(self._services.settings.poll_seconds, 0.2))


def _logged(verb: str, handler: Handler) -> Handler:
    """Have a handler leave lines about its start, its progress and its end."""

    def run(arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
        lines = RunLog("job", verb=verb, **arguments)

        def report_and_tell(done: int, total: int | None) -> None:
            report(done, total)
            lines.progress(done=done, total=total)

        try:
            result = handler(arguments, report_and_tell)
        except (Interrupted, Cancelled, Superseded):
            lines.end(interrupted=True)
            raise
        except Exception as error:
            lines.fail(error)
            raise
        lines.end(**{key: value for key, value in result.items() if isinstance(value, int | str)})
        return result

    return run


class PacedProgress:
    """Counts the active generation's products, so seldom that the work gets most of the time.

    While there is work, counting takes one part in `counting.GOOD_FOR`; while there is none, half:
    then only the count can tell that all is done.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._last: Progress | None = None
        self._counted_at = 0.0
        self._took = 0.0

    def current(self, *, busy: bool) -> Progress:
        """Return the last count, or a new one if it is time for that."""
        pause = self._took * (GOOD_FOR if busy else 1)
        is_due = time.monotonic() - self._counted_at >= pause
        if self._last is None or self._last.at_rest or is_due:  # never at rest by an old count
            began = time.monotonic()
            self._last = active_progress(self._db)
            self._counted_at = time.monotonic()
            self._took = self._counted_at - began
        return self._last


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


def _outcome(now: Progress) -> dict[str, int]:
    """Return what a job that indexes says at its end."""
    return {"indexed": now.indexed, "quarantined": now.quarantined, "awaited": now.awaited}
