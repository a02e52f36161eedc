"""The master process: it forks the API processes, replaces those that end, and stops them all.

It opens nothing and starts no thread, so a fork inherits nothing but the listening socket. Each
child holds one end of a socket: its bytes are signs of life, and the end of one means that the
other process is dead.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Never, TypeAlias

import structlog

log = structlog.get_logger(__name__)

CANNOT_START: Final = 4
"""Exit status of a child whose settings cannot work. The master ends with it too."""

CAUGHT: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)

STOP_SECONDS: Final = 24.0
"""After so long, a child that should end is killed."""

SILENCE_SECONDS: Final = 120.0
"""A child whose event loop shows no sign of life for so long is killed and replaced."""

LONGEST_PAUSE: Final = 30.0
PR_SET_PDEATHSIG: Final = 1

Serve: TypeAlias = Callable[[socket.socket], int]
"""Serves in a child, given its end of the socket to the master; returns the exit status."""


@dataclass
class Child:
    """One child process."""

    pid: int
    channel: socket.socket
    serve: Serve
    began: float = field(default_factory=time.monotonic)
    heard: float = field(default_factory=time.monotonic)
    leaves: bool = False
    killed_after: float | None = None


class Master:
    """Keeps `count` children running until SIGTERM; SIGHUP replaces them.

    With `supporting`, one more child runs that. It is started first, and is not replaced by SIGHUP.
    When the master stops, it gets the signal as the others do, and sees the end of its channel
    after they have ended.
    """

    def __init__(
        self,
        serve: Serve,
        *,
        count: int,
        listener: socket.socket,
        supporting: Serve | None = None,
    ) -> None:
        self._wanted = ([] if supporting is None else [supporting]) + [serve] * count
        self._serve = serve
        self._listener = listener
        self._pid = os.getpid()
        self._children: dict[int, Child] = {}
        self._status: int | None = None  # of this process, once it should end
        self._pause, self._next_start = 0.0, 0.0
        self._woken, self._wake_up = socket.socketpair()

    def run(self) -> int:
        """Work until all children have ended; return the exit status."""
        self._catch_signals()
        while True:
            self._reap()
            if self._status is None:
                self._start_missing()
            elif not self._children:
                return self._status
            else:
                self._end_supporting()
            self._kill_late()
            self._wait()

    # --- signals -----------------------------------------------------------------------------

    def _catch_signals(self) -> None:
        for end in (self._woken, self._wake_up):
            end.setblocking(False)
        signal.set_wakeup_fd(self._wake_up.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, lambda *_: self._stop(0))
        signal.signal(signal.SIGHUP, lambda *_: self._dismiss(self._serving()))
        signal.signal(signal.SIGCHLD, lambda *_: None)  # it wakes `_wait` up

    def _stop(self, status: int) -> None:
        """End, and let the next server have the port."""
        if self._status is None:
            self._status = status
            self._listener.close()
            self._dismiss(self._children.values())

    def _serving(self) -> list[Child]:
        return [child for child in self._children.values() if child.serve is self._serve]

    def _end_supporting(self) -> None:
        """Let the child that the others need see the end of its channel once they have ended."""
        if not self._serving():
            for child in self._children.values():
                with suppress(OSError):
                    child.channel.shutdown(socket.SHUT_WR)

    def _dismiss(self, children: Iterable[Child]) -> None:
        for child in children:
            if not child.leaves:
                child.leaves, child.killed_after = True, time.monotonic() + STOP_SECONDS
                _signal(child, signal.SIGTERM)

    # --- children ----------------------------------------------------------------------------

    def _start_missing(self) -> None:
        missing = list(self._wanted)
        for child in self._children.values():
            if not child.leaves:
                missing.remove(child.serve)
        for serve in missing:
            if self._status is not None or time.monotonic() < self._next_start:
                return
            self._fork(serve)

    def _fork(self, serve: Serve) -> None:
        ours, theirs = socket.socketpair()
        sys.stdout.flush()
        sys.stderr.flush()
        # A signal waits until the child is in the list, or `_stop` would leave it out; and in the
        # child until its handlers are its own.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, CAUGHT)
        pid = os.fork()
        if pid == 0:
            ours.close()
            self._be_child(serve, theirs, before)
        theirs.close()
        ours.setblocking(False)
        self._children[pid] = Child(pid, ours, serve)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _be_child(self, serve: Serve, channel: socket.socket, mask: Iterable[int]) -> Never:
        """Serve in the fork; never return into the master's code."""
        status = 1
        try:
            _die_with(self._pid)
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            for open_socket in (self._woken, self._wake_up):
                open_socket.close()
            for child in self._children.values():  # else it would not see that the master dies
                child.channel.close()
            status = serve(channel)
        except Exception as error:  # a traceback would not be one line
            log.exception("an API process failed", error=repr(error))
        finally:
            with suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)  # threads in native code may outlive the interpreter, and abort it

    def _reap(self) -> None:
        for child in list(self._children.values()):
            with suppress(ChildProcessError):
                pid, status = os.waitpid(child.pid, os.WNOHANG)
                if pid == 0:
                    continue
                self._forget(child, os.waitstatus_to_exitcode(status))

    def _forget(self, child: Child, code: int) -> None:
        del self._children[child.pid]
        child.channel.close()
        if child.leaves or code == 0:
            return
        log.warning("an API process ended", pid=child.pid, status=code)
        if code == CANNOT_START:
            self._stop(code)
            return
        lived = time.monotonic() - child.began
        self._pause = min(LONGEST_PAUSE, max(1.0, 2 * self._pause)) if lived < LONGEST_PAUSE else 0
        self._next_start = time.monotonic() + (self._pause if self._pause > 1 else 0)

    def _kill_late(self) -> None:
        now = time.monotonic()
        for child in self._children.values():
            late = child.killed_after is not None and now > child.killed_after
            if late or now > child.heard + SILENCE_SECONDS:
                log.warning("an API process is killed", pid=child.pid, stopping=child.leaves)
                _signal(child, signal.SIGKILL)

    def _wait(self) -> None:
        """Wait for a signal or for signs of life, at most a second."""
        channels = {child.channel: child for child in self._children.values()}
        heard, _, _ = select.select([self._woken, *channels], [], [], 1)
        for end in heard:
            with suppress(BlockingIOError, ConnectionError):
                if not end.recv(4096):
                    time.sleep(0.01)  # that child is ending: it is reaped in a moment
                elif end in channels:
                    channels[end].heard = time.monotonic()


def _signal(child: Child, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(child.pid, number)


def _die_with(master: int) -> None:
    """Have the kernel kill this process when the master dies, where it can.

    Everywhere else the server notices the end of the socket, and stops.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != master:  # it died before that call
        os._exit(1)
