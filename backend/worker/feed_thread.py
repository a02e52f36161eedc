"""A thread that runs a feed, so that its process can do other work meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread
from types import TracebackType
from typing import Any, Final, Self

from backend.feeds.importing import Progress
from backend.jobs import Interrupted

STOP_SECONDS: Final = 10.0
"""How long the end of the thread is waited for; one that waits for a slow host ends later."""


class FeedThread:
    """Runs `run(progress)` from the beginning of a block; the run is interrupted at its end."""

    def __init__(self, run: Callable[[Progress], dict[str, Any]]) -> None:
        self.progress: tuple[int, int | None] = (0, None)
        self._run = run
        self._stopping = Event()
        self._result: dict[str, Any] = {}
        self._error: Exception | None = None
        self._thread = Thread(target=self._work, name="feed", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._thread.join(STOP_SECONDS)

    def wait(self, seconds: float) -> bool:
        """Wait; return whether the run is over."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def result(self) -> dict[str, Any]:
        """Return the result of a run that is over, or raise what it raised."""
        if self._error:
            raise self._error
        return self._result

    def _work(self) -> None:
        try:
            self._result = self._run(self._report)
        except Exception as error:  # noqa: BLE001  (raised again by `result`)
            self._error = error

    def _report(self, done: int, total: int | None) -> None:
        if self._stopping.is_set():
            raise Interrupted
        self.progress = (done, total)
