"""The threads that work beside the API in a serving process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import structlog

from backend import generations
from backend.bootstrap import Services
from backend.database.arrival import Arrival
from backend.database.engine import Database
from backend.database.failures import READS_GO_ON, meaning_of, why
from backend.errors import LookalikeError
from backend.search.query_image import QueryEncoder
from backend.worker.failures import RepeatedFailures
from backend.worker.loop import Worker, check_index

log = structlog.get_logger(__name__)

RETRY_SECONDS: Final = 5.0


class WorkerThread:
    """Runs a worker. When the worker cannot start or fails, it logs why and tries again."""

    def __init__(
        self,
        worker: Worker,
        *,
        retry_seconds: float = RETRY_SECONDS,
        then: Callable[[], None] = lambda: None,
    ) -> None:
        """`then` is called when the worker begins to work: its network is there."""
        self._worker = worker
        self._then = then
        self._retry_seconds = retry_seconds
        self._problem: str | None = "is loading the embedder"
        self._failures = RepeatedFailures("the worker cannot start")
        self._loads = True
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def problem(self) -> str | None:
        """Return what keeps the worker from working, or None."""
        return self._problem or self._worker.problem

    @property
    def is_loading(self) -> bool:
        """Whether the worker has not begun to work yet, because its embedder is being loaded."""
        return self._loads

    def notify(self) -> None:
        """Wake the worker up: a row may be due."""
        self._worker.wake_up.set()

    def start(self) -> None:
        """Start the thread. torch is imported in it, not before."""
        self._thread.start()

    def stop(self, *, seconds: float) -> bool:
        """Let the thread finish its batch; return whether it ended within `seconds`."""
        self._stopping.set()
        self._worker.stop()
        if self._thread.ident:
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._worker.recover()
                self._problem, self._loads = None, False
                self._failures.end()
                self._then()
                self._worker.run()
            except LookalikeError as error:
                self._problem = f"{error.code}: {error.message}"
                self._failures.note(self._problem, retry=self._retry_seconds)
            except Exception as error:  # noqa: BLE001  (or the thread would end unnoticed)
                if meaning := meaning_of(error):
                    self._problem = f"{meaning.code}: {why(error)}"
                else:
                    self._problem = f"{type(error).__name__}: {error}"
                said = self._problem
                if isinstance(meaning, READS_GO_ON):
                    self._problem = None
                self._failures.note(said, retry=self._retry_seconds, exc_info=meaning is None)
            self._stopping.wait(self._retry_seconds)


class PreparingThread:
    """A thread that is started once, and that a process does not wait for when it ends."""

    def __init__(self, run: Callable[[], None], *, name: str) -> None:
        self._thread = threading.Thread(target=run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread, once."""
        if not self._thread.ident:
            self._thread.start()

    def join(self, *, seconds: float) -> bool:
        """Wait for its end at most `seconds`; return whether it has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()


class FirstQueryThread(PreparingThread):
    """Embeds a sample image as a shopper's, so that no shopper waits for what comes first.

    The first image starts a decoder, and compiles the network for its size. Nothing waits for this
    thread. What goes wrong in it is only logged: a query says the same.
    """

    def __init__(self, db: Database, encoder: QueryEncoder) -> None:
        self._db = db
        self._encoder = encoder
        super().__init__(self._run, name="first-query")

    def _run(self) -> None:
        try:
            with self._db.read() as session:
                generation = generations.active(session)
            self._encoder.check(generation)
        except Exception as error:  # noqa: BLE001  (or the thread would end with a traceback)
            log.info("no image could be embedded ahead of the first query", error=str(error))


class ArrivalThread:
    """Waits for a database that did not answer at the start, then lets the process begin."""

    def __init__(self, arrival: Arrival, *, then: Callable[[], None]) -> None:
        self._arrival = arrival
        self._then = then
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="arrival", daemon=True)

    def problem(self) -> str | None:
        """Return why the database cannot be used yet, or None."""
        return self._arrival.problem

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, if it still waits."""
        self._stopping.set()
        if self._thread.ident:
            self._thread.join()

    def _run(self) -> None:
        try:
            if self._arrival.wait(is_stopping=self._stopping.is_set):
                self._then()
        except Exception as error:  # otherwise the thread would end unnoticed
            self._arrival.problem = f"failed: {error}"
            log.exception("the process cannot begin", error=repr(error))


class RecallThread:
    """Compares a sample of the searches with exact search and counts the index's points.

    It runs where no `WorkerThread` does.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recall", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, *, seconds: float) -> None:
        """Let the thread finish its comparison; wait at most `seconds` for it."""
        self._stopping.set()
        if self._thread.ident:
            self._thread.join(seconds)

    def _run(self) -> None:
        try:
            check_index(self._services)
        except Exception as error:  # noqa: BLE001  (/readyz says it too)
            log.error("the vector store cannot be used", error=str(error))
        failures = RepeatedFailures("cannot compare searches with exact search")
        while not self._stopping.wait(self._services.settings.poll_seconds):
            try:
                self._services.recall.compare(self._services.indexes.of)
                self._services.coverage.refresh()
                failures.end()
            except Exception as error:  # noqa: BLE001  (or the thread would end unnoticed)
                meaning = error if isinstance(error, LookalikeError) else meaning_of(error)
                said = meaning.message if meaning else repr(error)
                failures.note(said, exc_info=meaning is None)
