"""One API process: its services, its Flask app, and what works beside the app."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from typing import Final

import structlog

from backend import monitoring
from backend.api import authentication, create_app, metrics
from backend.calls import Caller, NoAnswer
from backend.errors import IndexLocked
from backend.metrics.snapshots import Publisher
from backend.settings import Settings
from backend.vectors.edge.owner import Owner
from backend.web import register_web
from backend.worker.first_lists import FirstListsThread
from backend.worker.loop import Worker
from backend.worker.owner import LAST_SECONDS, STOP_SECONDS
from backend.worker.threads import (
    ArrivalThread,
    FirstQueryThread,
    RecallThread,
    WorkerThread,
)
from workers import services as distributed

log = structlog.get_logger(__name__)

OWNER_WAIT_SECONDS: Final = 30
"""How long a new process waits for the lock of the process that it replaces."""

OWNER_LEAVES_SECONDS: Final = 2
"""How long the lock of a process that was just killed may still be held."""

WAKE_SECONDS: Final = 1.0
"""How long a request waits that tells another process of new work."""

PROBE_SECONDS: Final = 1.5
"""How long a check waits for the process that works."""


class ServingProcess:
    """One API process: its services, its Flask app, and the thread that works beside the app.

    With a `caller` another process works and owns the index, and is asked.
    """

    def __init__(self, settings: Settings, *, url: str, caller: Caller | None = None) -> None:
        self._caller = caller
        self.services = distributed.build(
            settings, notify=self._notify, wait=True, serves=True, owner=caller
        )
        self._worker: WorkerThread | None = None
        self._recall: RecallThread | None = None
        self._stops_at: float | None = None
        probes = distributed.make_probes(settings)
        if caller is not None:
            self.services.owner.answer_for_it()
            probes["worker"] = self._problem_of_owner
        elif not settings.qdrant_url:
            become_owner(self.services.owner, url, seconds=OWNER_WAIT_SECONDS, patient=True)
        if caller is None and not (
            settings.broker_url and settings.qdrant_url
        ):  # else Celery workers do the work
            self._worker = WorkerThread(Worker(self.services), then=self._prepare_queries)
            probes["worker"] = self._worker.problem
        else:
            self._recall = RecallThread(self.services)
        self._arrival = ArrivalThread(self.services.arrival, then=self._begin)
        probes["start"] = self._arrival.problem
        self._metrics = Publisher(settings.metrics_dir, role=monitoring.API)
        optional = distributed.optional_probes(settings)
        self.app = create_app(self.services, probes=probes, optional=optional)
        register_web(self.app, self.services)
        self._metrics.start()
        if settings.metrics_port:
            monitoring.show_apart(self.app.extensions[metrics.EXPOSITION], settings)
        if self.services.arrival.problem:
            self._arrival.start()
        else:
            self._begin()

    def _begin(self) -> None:
        """Begin to work: the database answers."""
        authentication.warn_about_keys(self.services)
        for thread in (self._worker, self._recall):
            if thread:
                thread.start()

    def _prepare_queries(self) -> None:
        """Do what the first queries would wait for: the first lists, and the first image.

        An image is embedded only where this process embeds those of shoppers.
        """
        FirstListsThread(self.services.db, self.services.similar).start()
        if self.services.query_encoder is self.services.local_encoder:
            FirstQueryThread(self.services.db, self.services.query_encoder).start()

    def hurry(self) -> None:
        """Begin to stop: let the worker end after its batch, and set a limit to all the rest."""
        self._stops_at = time.monotonic() + STOP_SECONDS
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(LAST_SECONDS)
        self.services.owner.leave()
        if self._worker:
            self._worker.stop(seconds=0)

    def stop(self) -> None:
        """End the thread after its batch, flush the index and close everything.

        A thread that loads a network cannot be interrupted, and has nothing to finish.
        """
        self._arrival.stop()
        left = max(0.0, (self._stops_at or 0) - time.monotonic())
        if self._recall:
            self._recall.stop(seconds=left)
        self._metrics.stop()
        if not self._worker or self._worker.stop(seconds=0 if self._worker.is_loading else left):
            self.services.close()
        else:
            log.warning("the worker did not end in time", loading=self._worker.is_loading)

    def _notify(self) -> None:
        if self._worker:
            self._worker.notify()
        elif self._caller:
            with suppress(NoAnswer):  # it looks for work once a second anyway
                self._caller.call("wake", seconds=WAKE_SECONDS)

    def _problem_of_owner(self) -> str | None:
        assert self._caller  # noqa: S101  (for the type checker)
        try:
            found: str | None = self._caller.call("problem", seconds=PROBE_SECONDS)
        except NoAnswer as error:
            return f"its process does not answer: {error}"
        return found


def become_owner(owner: Owner, url: str, *, seconds: float, patient: bool = False) -> None:
    """Take the lock of the index; wait for a process that is ending to release it.

    A process that is not known to end is waited for only if we are `patient`.
    """
    began = time.monotonic()
    while True:
        try:
            return owner.acquire(url=url)
        except IndexLocked:
            patience = seconds if patient or owner.is_leaving else OWNER_LEAVES_SECONDS
            if time.monotonic() > began + patience:
                raise
            time.sleep(0.1)
