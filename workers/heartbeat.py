"""The heartbeat of a worker process, and the end of the process when its supervisor is dead."""

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
    """One end of a socket whose other end the supervisor holds. Each byte is one heartbeat.

    While a task runs, only the task itself sends heartbeats: it calls this object as it makes
    progress. While the worker waits for a message, or for Redis to come back, a thread sends them.
    When the other end closes, the supervisor is dead. Then the worker finishes its batch, and is
    ended after `stop_seconds` at the latest.
    """

    def __init__(self, fd: int, *, stop_seconds: float) -> None:
        self._socket = socket.socket(fileno=fd)
        self._socket.setblocking(False)
        self._stop_seconds = stop_seconds
        self._busy = True  # until it is ready
        self._last_sent = 0.0

    def start(self) -> None:
        """Start the thread that watches the other end, and sends heartbeats while idle."""
        threading.Thread(target=self._watch, name="heartbeat", daemon=True).start()

    def __call__(self) -> None:
        """Send a heartbeat, unless the last one was sent a moment ago."""
        now = time.monotonic()
        if now - self._last_sent >= TICK_SECONDS / 2:
            self._last_sent = now
            with suppress(OSError):  # the supervisor has stopped or died, which _watch handles
                self._socket.send(b".")

    def busy(self, **_: object) -> None:
        """Let only the task send heartbeats, which begins now."""
        self()
        self._busy = True

    def idle(self, **_: object) -> None:
        """Let the thread send heartbeats: the task has ended."""
        self._busy = False
        self()

    def close(self) -> None:
        """Close this end; only for a process that outlives it."""
        self._socket.close()

    def _watch(self) -> None:
        while True:
            readable, _, _ = select.select([self._socket], [], [], TICK_SECONDS)
            if readable:  # the supervisor never sends anything, so this is end-of-file
                break
            if not self._busy:
                self()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(self._stop_seconds)
        os._exit(1)
