"""Keep one worker process alive: restart it when it dies, kill it when it hangs.

Celery's solo pool enforces no time limits, and a thread of the worker's own could not end a hung
forward pass. The worker is started by exec and holds one end of a socket: bytes are its signs of
life, end-of-file is its death; seen from there, end-of-file is ours.
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

log = structlog.get_logger(__name__)

TICK_SECONDS: Final = 0.2
START_SECONDS: Final = 600.0
"""Until the first sign of life: weights may come over a slow network."""

END_SECONDS: Final = 5.0
"""After the last sign of life: libraries may take a moment to unload."""

FIRST_DELAY: Final = 1.0
LONGEST_DELAY: Final = 60.0
"""Between two starts; it doubles, and begins anew after a worker that lived for longer."""


class Supervisor:
    """Runs `command --pulse FD`, again and again until told to stop."""

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

    def run(self) -> int:
        """Supervise until SIGTERM or SIGINT; return 0 if the last worker ended in good order."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop())
        delay = self._first_delay
        while True:
            started = time.monotonic()
            status = self._live_once()
            if self._stop_by is not None:
                return 0 if status == 0 else 1
            if time.monotonic() - started > LONGEST_DELAY:
                delay = self._first_delay
            log.warning("worker ended; starting another", status=status, seconds=delay)
            if self._pause(delay * random.uniform(0.8, 1.2)):
                return 0
            delay = min(2 * delay, LONGEST_DELAY)

    def stop(self) -> None:
        """Tell the worker to finish its batch, and end with it."""
        if self._stop_by is None:
            self._stop_by = time.monotonic() + self._stop_seconds

    def _live_once(self) -> int:
        """Start a worker, watch it, and return its exit status (negative: the signal)."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            process = subprocess.Popen(  # noqa: S603
                [*self._command, "--pulse", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for us; and what it starts can be ended with it
            )
            theirs.close()
            log.info("worker started", pid=process.pid)
            self._watch(process, ours)
        _kill(process)
        return process.wait()

    def _watch(self, process: subprocess.Popen[bytes], pulse: socket.socket) -> None:
        """Return when the worker has ended, or has to be."""
        silent_by = time.monotonic() + self._start_seconds
        told = False
        while True:
            readable, _, _ = select.select([pulse], [], [], TICK_SECONDS)
            now = time.monotonic()
            if readable:
                if not _receive(pulse):  # it is about to end, or is closing what it holds
                    _wait(process, END_SECONDS)
                    return
                silent_by = now + self._hang_seconds
            if now > silent_by:
                log.error("worker shows no sign of life: killed", pid=process.pid)
                return
            if self._stop_by is not None and not told:
                told = True
                process.terminate()
            if self._stop_by is not None and now > self._stop_by:
                log.error("worker does not stop: killed", pid=process.pid)
                return

    def _pause(self, seconds: float) -> bool:
        """Wait; return whether we were told to stop meanwhile."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and self._stop_by is None:
            time.sleep(min(TICK_SECONDS, seconds))
        return self._stop_by is not None


def _receive(pulse: socket.socket) -> bytes:
    try:
        return pulse.recv(4096)
    except ConnectionError:
        return b""


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the worker, if it has not ended, and its decoders with it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
