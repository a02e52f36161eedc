"""Keep one worker process alive: restart it when it dies, kill it when it hangs.

Celery's solo pool enforces no time limits, and a thread of the worker could not end a hung forward
pass. The worker is started by exec and holds one end of a socket: a byte from it is a heartbeat,
and end-of-file means that it is dead. The worker sees end-of-file when the supervisor is dead.
"""

from __future__ import annotations

import os
import random
import select
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import structlog

from workers.health import SignOfLife

log = structlog.get_logger(__name__)

TICK_SECONDS: Final = 0.2
START_SECONDS: Final = 600.0
"""Until the first heartbeat: weights may come over a slow network."""

END_SECONDS: Final = 5.0
"""Between end-of-file and the end of the process: libraries may take a moment to unload."""

FIRST_DELAY: Final = 1.0
LONGEST_DELAY: Final = 60.0
"""Between two starts. The delay doubles, and is reset after a worker that lived for longer."""


class Supervisor:
    """Runs `command --heartbeat FD`, and starts it again when it ends, until `stop` is called."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        hang_seconds: float,
        stop_seconds: float,
        start_seconds: float = START_SECONDS,
        first_delay: float = FIRST_DELAY,
    ) -> None:
        self._command = list(command)
        self._hang_seconds = hang_seconds
        self._stop_seconds = stop_seconds
        self._start_seconds = start_seconds
        self._first_delay = first_delay
        self._stop_by: float | None = None
        self._sign = SignOfLife("worker", allowed_seconds=hang_seconds)

    def run(self) -> int:
        """Supervise until SIGTERM or SIGINT; return 0 if the last worker exited with 0, else 1."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop())
        delay = self._first_delay
        while True:
            started = time.monotonic()
            status = self._run_once()
            if self._stop_by is not None:
                return 0 if status == 0 else 1
            if time.monotonic() - started > LONGEST_DELAY:
                delay = self._first_delay
            log.warning("the worker ended; starting another", status=status, seconds=delay)
            if self._pause(delay * random.uniform(0.8, 1.2)):
                return 0
            delay = min(2 * delay, LONGEST_DELAY)

    def stop(self) -> None:
        """Let the worker finish its batch, then end. Kill it after `stop_seconds`."""
        if self._stop_by is None:
            self._stop_by = time.monotonic() + self._stop_seconds

    def _run_once(self) -> int:
        """Start a worker, watch it, and return its exit status (negative: the signal)."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            process = subprocess.Popen(  # noqa: S603
                [*self._command, "--heartbeat", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C reaches only us; and _kill ends its decoders too
            )
            theirs.close()
            log.info("worker started", pid=process.pid)
            self._watch(process, ours)
        self._sign.remove()
        _kill(process)
        return process.wait()

    def _watch(self, process: subprocess.Popen[bytes], heartbeat: socket.socket) -> None:
        """Return when the worker has ended, or has to be killed."""
        heartbeat_by = time.monotonic() + self._start_seconds
        terminated = False
        while True:
            readable, _, _ = select.select([heartbeat], [], [], TICK_SECONDS)
            now = time.monotonic()
            if readable:
                if not _receive(heartbeat):  # end-of-file: it is about to end
                    _wait(process, END_SECONDS)
                    return
                heartbeat_by = now + self._hang_seconds
                self._sign.touch()
            if now > heartbeat_by:
                log.error("no heartbeat from the worker: killed", pid=process.pid)
                return
            if self._stop_by is not None and not terminated:
                terminated = True
                process.terminate()
            if self._stop_by is not None and now > self._stop_by:
                log.error("the worker does not stop: killed", pid=process.pid)
                return

    def _pause(self, seconds: float) -> bool:
        """Wait; return whether `stop` was called meanwhile."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and self._stop_by is None:
            time.sleep(min(TICK_SECONDS, seconds))
        return self._stop_by is not None


def _receive(heartbeat: socket.socket) -> bytes:
    try:
        return heartbeat.recv(4096)
    except ConnectionError:
        return b""


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the worker, if it has not ended, and its decoder processes."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
