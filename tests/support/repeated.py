"""One step that a thread of its own does again and again while a test does something else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Self


class Repeated:
    """Does a step again and again, `pause` seconds apart, inside of a `with`.

    An error of the step ends it, and is raised at the end of the `with`.
    """

    def __init__(self, step: Callable[[], object], *, pause: float) -> None:
        self._step, self._pause = step, pause
        self._over = threading.Event()
        self._failed: Exception | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        if self._failed:
            raise self._failed

    def _run(self) -> None:
        try:
            while not self._over.is_set():
                self._step()
                self._over.wait(self._pause)
        except Exception as error:  # noqa: BLE001  (it is raised again at the end)
            self._failed = error
