"""The API as a process: its settings, its services, and the worker thread if it is embedded.

An embedded index has one owner. One API process, with threads, owns it and works itself. Of several
processes none does: one more process owns the index, works and is asked by the others, unless
Celery and a Qdrant server do all that. Nothing is opened, and no thread is started, before the
master forks them.
"""

from __future__ import annotations

import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar

import structlog

from backend import logs, monitoring, variables
from backend.api import authentication, create_app, health, imports, metrics
from backend.bootstrap import explain
from backend.calls import Caller, NoAnswer, make_pair
from backend.errors import IndexLocked, LookalikeError
from backend.metrics.snapshots import Publisher
from backend.serving import listening
from backend.serving.master import CANNOT_START, Master
from backend.settings import Settings, read_settings
from backend.vectors.edge.owner import Owner
from backend.vectors.server.addresses import warn_about_plain_key
from backend.web import register_web
from backend.worker.loop import Worker
from backend.worker.owner import OwnerProcess
from backend.worker.threads import (
    ArrivalThread,
    FirstQueryThread,
    RecallThread,
    WorkerThread,
)
from workers import services as distributed

log = structlog.get_logger(__name__)

Made = TypeVar("Made")

OWNER_WAIT_SECONDS: Final = 30
"""How long a new process waits for the lock of the process that it replaces."""

SHORT_READS: Final = ("/similar", "/together")
"""How the paths of short reads end that take turns where nothing waits for a server: there, threads
only take the interpreter from each other."""

OWNER_LEAVES_SECONDS: Final = 2
"""How long the lock of a process that was just killed may still be held."""

STOP_SECONDS: Final = 20
"""How long the worker may take to finish its batch, from the signal on. What is not finished is
done again later."""

WAKE_SECONDS: Final = 1.0
"""How long a request waits that tells another process of new work."""

PROBE_SECONDS: Final = 1.5
"""How long a check waits for the process that works."""

LAST_SECONDS: Final = 24
"""So long after the signal, the kernel ends a process that did not end by itself."""


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; ends the process.

    Raises IndexLocked when another process owns the index, and ConfigurationError when the port is
    taken.
    """
    logs.configure(settings.log_level)
    logs.log_uncaught_errors()
    variables.warn_about_unknown(Settings)
    warn_about_plain_key(settings.qdrant_url, settings.qdrant_api_key)
    listener = listening.listen(settings.host, settings.port)
    url = listening.local_url(settings.host, listener.getsockname()[1])
    if not settings.qdrant_url:
        _check_owner(settings, url)
    log.info("serving", url=url)
    serve, own = partial(_serve_in_child, settings, listener, url), None
    if settings.separates_work:
        asking, answering = make_pair()
        serve = partial(serve, asking=asking)
        own = partial(_own_in_child, settings, listener, url, answering)
    sys.exit(Master(serve, count=settings.api_processes, listener=listener, supporting=own).run())


def _check_owner(settings: Settings, url: str) -> None:
    """Raise IndexLocked now, in the terminal, and not later in the forked process."""
    owner = Owner(settings.data_dir)
    _become_owner(owner, url, seconds=OWNER_WAIT_SECONDS)
    owner.release()


def _own_in_child(
    settings: Settings,
    listener: socket.socket,
    url: str,
    answering: socket.socket,
    master: socket.socket,
) -> int:
    """Own the index and work in a child of the master; return the exit status."""
    listener.close()  # or the port would not be free while this process stops

    def make() -> OwnerProcess:
        services = distributed.build(
            settings, notify=lambda: process.wake() if process else None, wait=True, serves=True
        )
        if not settings.qdrant_url:
            _become_owner(services.owner, url, seconds=OWNER_WAIT_SECONDS, patient=True)
        return OwnerProcess(services, answering)

    process: OwnerProcess | None = None
    process = _started(make, settings)
    if process is None:
        return CANNOT_START
    process.run(master)
    return 0


def _serve_in_child(
    settings: Settings,
    listener: socket.socket,
    url: str,
    master: socket.socket,
    *,
    asking: socket.socket | None = None,
) -> int:
    """Serve in a child of the master; return the exit status."""
    from backend.serving.child import run  # noqa: PLC0415  # the master needs no event loop

    caller = Caller(asking) if asking else None
    process = _started(lambda: ServingProcess(settings, url=url, caller=caller), settings)
    if process is None:
        return CANNOT_START
    run(
        process.app,
        threads=settings.threads,
        max_requests=settings.max_requests,
        max_body=process.app.config["MAX_CONTENT_LENGTH"],
        direct={"/livez": health.ALIVE},
        apart=[health.READY_PATH],
        turns=() if settings.qdrant_url or not process.services.db.is_sqlite else SHORT_READS,
        uploads={imports.PATH: settings.max_upload_bytes},
        listener=listener,
        master=master,
        on_stop=process.hurry,
    )
    process.stop()
    return 0


def _started(make: Callable[[], Made], settings: Settings) -> Made | None:
    """Return what `make` returns; None, after logging why, when it cannot start."""
    try:
        return make()
    except LookalikeError as error:
        log.error("cannot start", error=error.message)
    except Exception as error:
        said = explain(error, settings)
        if said is None:
            raise
        log.error("cannot start", error=said)
    return None


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
            _become_owner(self.services.owner, url, seconds=OWNER_WAIT_SECONDS, patient=True)
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
        """Have an image embedded ahead of the first shopper's, where this process embeds them."""
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


def _become_owner(owner: Owner, url: str, *, seconds: float, patient: bool = False) -> None:
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


def main() -> None:
    """Serve with the settings of the environment: `python -m backend.wsgi`."""
    settings = None
    try:
        settings = read_settings()
        serve(settings)
    except LookalikeError as error:
        sys.exit(f"lookalike: {error.message}")
    except Exception as error:
        said = explain(error, settings) if settings else None
        if said is None:
            raise
        sys.exit(f"lookalike: {said}")


if __name__ == "__main__":
    main()
