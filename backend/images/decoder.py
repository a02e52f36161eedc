"""One decoder process, from our side of its pipe: start it, have it decode, end it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import inf
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Timer
from time import monotonic
from typing import Any, Final

from backend.errors import DecoderDied, DecoderUnavailable, ImageError
from backend.images.decode import Size
from backend.images.decoder_messages import (
    Decoded,
    ImageFile,
    Target,
    ask,
    ask_for_group,
    read_answer,
    read_group,
)
from backend.images.decoder_process import READY
from backend.processes import describe_exit, start_module

START_SECONDS: Final = 60
STARTS: Final = 2
"""Processes that are started before it counts as impossible: the kernel may have killed one."""

PATIENCE: Final = 2
"""On a host whose processors are busy, an image may take this many times its limit.

The process itself ends a little later (`DecoderPool`).
"""

SOON: Final = 0.01
"""Share of the time limit in which nearly all images are decoded. In it, also time counts in which
the process waits for a processor: to look at that takes longer than to wait for an answer."""

LEAST_LEFT: Final = 0.01
"""Seconds that are not worth waiting for."""

ENVIRONMENT: Final = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL")
"""The environment variables that decoders get: a taken-over decoder must not find credentials."""

BUFFERED: Final = 1 << 16
"""Bytes that a pipe takes at once, whether its reader is alive or not."""


class DecoderEnded(Exception):
    """A decoder process ended in the middle of an image."""

    def __init__(self, status: int | None) -> None:
        super().__init__("not started" if status is None else describe_exit(status))
        self.was_killed = status == -signal.SIGKILL  # as the kernel does when memory runs out


class Decoder:
    """At most one process, started when there is an image to decode."""

    def __init__(self, setup: Mapping[str, Any], seconds: float) -> None:
        self._setup = setup
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._is_ready = False
        self._start_by = 0.0

    def decode(
        self, source: ImageFile, target: Target, *, start_by: float = inf
    ) -> Decoded | ImageError:
        """Decode one image, or return what is wrong with it.

        Raises DecoderEnded, and DecoderUnavailable when no process can be started, none is ready
        at `start_by`, or the process gets too little of a busy host's processors. A process that
        is still starting goes on with that for the next image.
        """
        pipe = self._connect(start_by)
        answer: Decoded | ImageError | None = None
        try:
            with self._killed_after(source):
                ask(pipe, source, target)
            if not self._answers(pipe):
                return DecoderDied(f"decoding took longer than {self._seconds:g} s")
            answer = read_answer(pipe, target)
            return answer
        except (EOFError, OSError, ValueError, LookupError):  # no answer, or a malformed one
            raise DecoderEnded(self.stop(grace=1)) from None
        finally:
            if answer is None:  # or the late answer would be taken for the next image's
                self.stop()

    def decode_group(
        self, paths: Sequence[Path], target: Size
    ) -> Sequence[Decoded | ImageError] | None:
        """Decode files by one request. None: the process ended, or the time of one image did.

        Then each has to be decoded alone, to learn which one is to blame. Raises
        DecoderUnavailable when no process can be started.
        """
        pipe = self._connect(inf)
        answer: Sequence[Decoded | ImageError] | None = None
        try:
            ask_for_group(pipe, paths, target)
            if self._answers(pipe):
                answer = read_group(pipe, target, count=len(paths))
        except (EOFError, OSError, ValueError, LookupError, DecoderUnavailable):
            return None
        finally:
            if answer is None:
                self.stop()
        return answer

    def stop(self, *, grace: float = 0) -> int | None:
        """End the process, killing it after `grace` seconds; return its status, if there was one.

        The status is that of `subprocess`: negative for a signal.
        """
        process, pipe = self._process, self._pipe
        self._process = self._pipe = None
        self._is_ready = False
        if process is None or pipe is None:
            return None
        pipe.close()
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            process.kill()
        return process.wait()

    def _answers(self, pipe: Connection) -> bool:
        """Wait for an answer; return False if the image has had its time without one.

        Time in which the process waits for a processor is the host's, and does not count. Raises
        DecoderUnavailable when the image has not had its time after `PATIENCE` times as long.
        """
        began = monotonic()
        if pipe.poll(SOON * self._seconds):
            return True
        pid = self._process.pid if self._process else 0
        waited = seconds_without_processor(pid)
        left = (1 - SOON) * self._seconds
        while not pipe.poll(left):
            took = monotonic() - began
            left = self._seconds - took + seconds_without_processor(pid) - waited
            if left < LEAST_LEFT:
                return False
            if took >= PATIENCE * self._seconds:
                raise DecoderUnavailable(f"decoders wait for a processor: {took:.0f} s an image")
            left = min(left, max(LEAST_LEFT, PATIENCE * self._seconds - took))
        return True

    @contextmanager
    def _killed_after(self, source: ImageFile) -> Iterator[None]:
        """End a process that does not take a large file within the time limit."""
        if isinstance(source, Path) or len(source) < BUFFERED or self._process is None:
            yield
            return
        timer = Timer(PATIENCE * self._seconds, self._process.kill)
        timer.daemon = True
        try:
            timer.start()
        except RuntimeError as error:
            raise DecoderUnavailable(f"the host starts no further thread ({error})") from None
        try:
            yield
        finally:
            timer.cancel()

    def _connect(self, start_by: float) -> Connection:
        """Return the pipe of a process that is ready. One that dies while it starts is replaced."""
        how: int | None = None
        for _ in range(STARTS):
            pipe = self._pipe or self._launch()
            if self._is_ready or self._becomes_ready(pipe, start_by):
                return pipe
            how = self.stop(grace=1)
        raise DecoderUnavailable(f"a decoder process does not start ({DecoderEnded(how)})")

    def _launch(self) -> Connection:
        try:
            ours, theirs = Pipe()
        except OSError as error:  # no file descriptor is left
            raise DecoderUnavailable(f"a decoder cannot be started: {error.strerror}") from None
        with theirs:
            setup = json.dumps({**self._setup, "pipe": theirs.fileno()})
            try:
                self._process = start_module(
                    "backend.images.decoder_process",
                    setup,
                    keep_environment=ENVIRONMENT,
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                )
            except OSError as error:  # no process, no memory or no file descriptor is left
                ours.close()
                raise DecoderUnavailable(
                    f"a decoder process cannot be started: {os.strerror(error.errno or 0)}"
                ) from None
        self._pipe = ours
        self._start_by = monotonic() + START_SECONDS
        return ours

    def _becomes_ready(self, pipe: Connection, start_by: float) -> bool:
        """Wait until a process has started; return False if it ended, or takes too long for any."""
        try:
            if pipe.poll(max(0.0, min(start_by, self._start_by) - monotonic())):
                self._is_ready = pipe.recv_bytes() == READY
                return self._is_ready
        except (EOFError, OSError):
            return False
        if monotonic() < self._start_by:
            raise DecoderUnavailable("a decoder process is still starting")
        return False


def seconds_without_processor(pid: int) -> float:
    """Return how long a process has been ready to run and had no processor, since it started.

    Only Linux tells (the second number of `schedstat`, in nanoseconds); elsewhere 0.
    """
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0
