"""A worker's signs of life, and its end when nobody is there to see them."""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
import time
from contextlib import suppress
from typing import Final

TICK_SECONDS: Final = 0.5


class Heartbeat:
    """One end of a socket whose other end the supervisor holds.

    While a task runs, only the task's own progress counts as life: it calls this object. While the
    worker waits for a knock, or for Redis to come back, a thread does. When the other end closes,
    the supervisor is dead: the worker finishes its batch, or is gone after `stop_seconds`.
    """

    def __init__(self, fd: int, *, stop_seconds: float) -> None:
        self._socket = socket.socket(fileno=fd)
        self._socket.setblocking(False)
        self._stop_seconds = stop_seconds
        self._busy = True  # until it is ready
        self._last = 0.0

    def start(self) -> None:
        """Begin to watch the other end."""
        threading.Thread(target=self._watch, name="pulse", daemon=True).start()

    def __call__(self) -> None:
        """Show progress."""
        now = time.monotonic()
        if now - self._last >= TICK_SECONDS / 2:
            self._last = now
            with suppress(OSError):  # a supervisor that is stopped, or gone: see _watch
                self._socket.send(b".")

    def busy(self, **_: object) -> None:
        """Count only progress as life from now on: a task begins."""
        self()
        self._busy = True

    def idle(self, **_: object) -> None:
        """Count waiting as life from now on."""
        self._busy = False
        self()

    def _watch(self) -> None:
        while True:
            readable, _, _ = select.select([self._socket], [], [], TICK_SECONDS)
            if readable:  # nothing is ever sent here, so this is the end
                break
            if not self._busy:
                self()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(self._stop_seconds)
        os._exit(1)
