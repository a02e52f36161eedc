"""Decode untrusted images in processes that may die or hang without harm.

A process works on one image at a time, so whatever happens to it happened over that image. Reading
a file, its digest, decoding and shrinking are done over there; what comes back is as small as the
embedder wants it. Threads of ours only wait for the pipes.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Condition, Lock
from typing import Any, Final, Self, TypeAlias

from PIL import Image

from backend import images
from backend.errors import ConfigurationError, DecoderDied, ImageError
from backend.images.decode import Size
from backend.images.decoder_process import READY, Decode
from backend.images.limits import ImageLimits
from backend.processes import describe_exit, start_module

ImageFile: TypeAlias = bytes | Path
"""The bytes of an image file, or the path where a decoder shall read it."""

START_SECONDS: Final = 60
ENVIRONMENT: Final = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL")
"""All that decoders see of our environment: its credentials are not for them."""

_ERRORS: Final[Mapping[str, type[ImageError]]] = {
    kind.code: kind for kind in ImageError.__subclasses__()
}


@dataclass(frozen=True)
class Decoded:
    """An upright RGB image of the target's size, and the sha256 (hex) of the file's bytes."""

    image: Image.Image
    digest: str


def memory_needed(limits: ImageLimits) -> int:
    """Return a bound for a decoder's memory: the hungriest format was seen to take 17 B a pixel."""
    return 500_000_000 + 30 * limits.max_pixels + 2 * limits.max_bytes


class DecoderPool:
    """A few decoder processes, shared by all threads of this process.

    They start with the first image, and anew after a death or a fork; they end when this process
    does, however it does. `memory_bytes` bounds the address space of each (0: not at all), by
    default generously for what `limits` allow. `decode` is a function of some module;
    `images.decode` outside of tests.
    """

    def __init__(
        self,
        processes: int = 1,
        *,
        limits: ImageLimits,
        seconds: float = 10,
        memory_bytes: int | None = None,
        decode: Decode = images.decode,
    ) -> None:
        self._processes = processes
        self._seconds = seconds
        self._setup = {
            "decode": f"{decode.__module__}:{decode.__qualname__}",
            "limits": asdict(limits),
            "memory_bytes": memory_needed(limits) if memory_bytes is None else memory_bytes,
            "seconds": 2 * seconds + 1,  # only where we are no longer there to end it in time
        }
        self._crew: _DecoderWorkers | None = None
        self._lock = Lock()

    def decode_all(
        self, sources: Iterable[ImageFile], *, target: Size, window: int = 64
    ) -> Iterator[Decoded | ImageError]:
        """Decode each source to `target` (height, width); yield results, or errors, in order.

        Up to `window` images are decoded ahead while the caller is busy with the last one: take at
        least the size of its batches. A result is that of `images.decode(…, target=target)`, so
        that an embedder whose `input_size` is the target gives the same vector for both.
        """
        crew = self._crew_of_this_process()
        ahead: deque[Future[Decoded | ImageError]] = deque()
        try:
            for source in sources:
                ahead.append(crew.threads.submit(crew.decode, source, target))
                if len(ahead) >= window:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()

    def decode_one(self, source: ImageFile, *, target: Size) -> Decoded:
        """Decode one image, before all that waits in `decode_all`. Raises its ImageError."""
        result = self._crew_of_this_process().decode(source, target, urgent=True)
        if isinstance(result, ImageError):
            raise result
        return result

    def close(self) -> None:
        """End the processes, after the images they are at. The next use starts new ones."""
        with self._lock:
            crew, self._crew = self._crew, None
        if crew and crew.pid == os.getpid():
            crew.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _crew_of_this_process(self) -> _DecoderWorkers:
        with self._lock:
            if self._crew is None or self._crew.pid != os.getpid():
                decoders = [_Decoder(self._setup, self._seconds) for _ in range(self._processes)]
                self._crew = _DecoderWorkers(decoders)
            return self._crew


class _DecoderWorkers:
    """The decoders of one process, and the threads that keep them busy."""

    def __init__(self, decoders: list[_Decoder]) -> None:
        self.pid = os.getpid()
        self.threads = ThreadPoolExecutor(len(decoders), thread_name_prefix="decoding")
        self._decoders = decoders
        self._idle = list(decoders)
        self._urgent = 0  # how many urgent images wait for a decoder
        self._changed = Condition()

    def decode(
        self, source: ImageFile, target: Size, *, urgent: bool = False
    ) -> Decoded | ImageError:
        """Decode in the next idle process, and in one more if the first one died.

        A process can be ended by somebody else, such as the kernel when memory runs out: an image
        is to blame when it has ended two.
        """
        with self._borrow(urgent=urgent) as decoder:
            try:
                try:
                    return decoder.decode(source, target)
                except _Died:
                    return decoder.decode(source, target)
            except _Died as death:
                return DecoderDied(f"the image ended its decoder twice ({death})")

    @contextmanager
    def _borrow(self, *, urgent: bool) -> Iterator[_Decoder]:
        with self._changed:
            self._urgent += urgent
            try:
                self._changed.wait_for(lambda: self._idle and (urgent or not self._urgent))
            finally:
                self._urgent -= urgent
                self._changed.notify_all()
            decoder = self._idle.pop()
        try:
            yield decoder
        finally:
            with self._changed:
                self._idle.append(decoder)
                self._changed.notify_all()

    def close(self) -> None:
        self.threads.shutdown(cancel_futures=True)
        with self._changed:
            self._changed.wait_for(lambda: len(self._idle) == len(self._decoders))
            for decoder in self._decoders:
                decoder.stop()


class _Died(Exception):
    """A decoder process ended in the middle of an image."""


class _Decoder:
    """At most one process, started when there is something to decode."""

    def __init__(self, setup: Mapping[str, Any], seconds: float) -> None:
        self._setup = setup
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None

    def decode(self, source: ImageFile, target: Size) -> Decoded | ImageError:
        """Decode one image, or return what is wrong with it. Raises _Died."""
        pipe = self._pipe or self._start()
        answer: Decoded | ImageError | None = None
        try:
            _send(pipe, source, target)
            if not pipe.poll(self._seconds):
                return DecoderDied(f"decoding took longer than {self._seconds:g} s")
            answer = _receive(pipe, target)
            return answer
        except (EOFError, OSError, ValueError, LookupError):  # no answer, or a senseless one
            raise _Died(self.stop(grace=1)) from None
        finally:
            if answer is None:  # or the next image would be given the answer that is still due
                self.stop()

    def stop(self, *, grace: float = 0) -> str:
        """End the process, at once or after some seconds; say how it ended."""
        process, pipe = self._process, self._pipe
        self._process = self._pipe = None
        if process is None or pipe is None:
            return "not started"
        pipe.close()
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            process.kill()
        return describe_exit(process.wait())

    def _start(self) -> Connection:
        ours, theirs = Pipe()
        with theirs:
            setup = json.dumps({**self._setup, "pipe": theirs.fileno()})
            self._process = start_module(
                "backend.images.decoder_process",
                setup,
                keep_environment=ENVIRONMENT,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        self._pipe = ours
        try:
            if ours.poll(START_SECONDS) and ours.recv_bytes() == READY:
                return ours
        except EOFError:
            pass
        raise ConfigurationError(f"a decoder process does not start ({self.stop(grace=1)})")


def _send(pipe: Connection, source: ImageFile, target: Size) -> None:
    if isinstance(source, Path):
        pipe.send_bytes(json.dumps({"target": target, "path": str(source)}).encode())
    else:
        pipe.send_bytes(json.dumps({"target": target}).encode())
        pipe.send_bytes(source)


def _receive(pipe: Connection, target: Size) -> Decoded | ImageError:
    header = json.loads(pipe.recv_bytes())
    if "error" in header:
        return _ERRORS[header["error"]](header["message"])
    height, width = target
    return Decoded(Image.frombytes("RGB", (width, height), pipe.recv_bytes()), header["digest"])
