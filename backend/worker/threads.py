"""The threads that work beside the API in a serving process."""

from __future__ import annotations

import threading
from typing import Final

import structlog

from backend.bootstrap import Services
from backend.errors import LookalikeError
from backend.worker.failures import RepeatedFailures
from backend.worker.loop import Worker

log = structlog.get_logger(__name__)

RETRY_SECONDS: Final = 5.0


class WorkerThread:
    """Runs a worker. When the worker cannot start or fails, it logs why and tries again."""

    def __init__(self, worker: Worker, *, retry_seconds: float = RETRY_SECONDS) -> None:
        self._worker = worker
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
                self._worker.run()
            except LookalikeError as error:
                self._problem = f"{error.code}: {error.message}"
                self._failures.note(self._problem, retry=self._retry_seconds)
            except Exception as error:  # noqa: BLE001  (or the thread would end unnoticed)
                self._problem = f"{type(error).__name__}: {error}"
                self._failures.note(self._problem, retry=self._retry_seconds, exc_info=True)
            self._stopping.wait(self._retry_seconds)


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
        while not self._stopping.wait(self._services.settings.poll_seconds):
            try:
                self._services.recall.compare(self._services.indexes.of)
                self._services.coverage.refresh()
            except Exception:  # otherwise the thread would end unnoticed
                log.exception("cannot compare searches with exact search")
