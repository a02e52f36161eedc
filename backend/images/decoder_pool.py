"""Decode untrusted images in separate processes, which may crash or hang without harm.

A process works on one image at a time, so it is clear which image made it crash. The process reads
the file, takes its digest, decodes it and shrinks it to the size that the embedder needs. Our own
threads only wait for the pipes.
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
from backend.errors import ConfigurationError, DecoderDied, ImageError, MissingImage
from backend.images.decode import Size
from backend.images.decoder_process import READY, Decode
from backend.images.limits import ImageLimits
from backend.processes import describe_exit, start_module

ImageFile: TypeAlias = bytes | Path
"""The bytes of an image file, or the path from which a decoder process reads it."""

START_SECONDS: Final = 60
ENVIRONMENT: Final = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL")
"""The environment variables that decoders get: a taken-over decoder must not find credentials."""

_ERRORS: Final[Mapping[str, type[ImageError]]] = {
    kind.__name__: kind for kind in (*ImageError.__subclasses__(), MissingImage)
}


@dataclass(frozen=True)
class Decoded:
    """An upright RGB image of the target's size, and the sha256 (hex) of the file's bytes."""

    image: Image.Image
    digest: str


def memory_needed(limits: ImageLimits) -> int:
    """Return a bound for a decoder's memory in bytes. Measured: at most 17 B a pixel, by format."""
    return 500_000_000 + 30 * limits.max_pixels + 2 * limits.max_bytes


class DecoderPool:
    """A few decoder processes, shared by all threads of this process.

    They start with the first image, and again after a crash or a fork. They end when this process
    does, even if it is killed. `memory_bytes` bounds the address space of each (0: no bound), by
    default with room for what `limits` allow. `decode` is a module's function; only tests pass
    another than `images.decode`.
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
            "seconds": 2 * seconds + 1,  # for a decoder whose parent was killed and cannot end it
        }
        self._workers: _DecoderWorkers | None = None
        self._lock = Lock()

    def decode_all(
        self, sources: Iterable[ImageFile], *, target: Size, window: int = 64
    ) -> Iterator[Decoded | ImageError]:
        """Decode each source to `target` (height, width); yield results, or errors, in order.

        Up to `window` images are decoded ahead while the caller works: it should be at least the
        size of the caller's batches. A result is that of `images.decode(…, target=target)`, so that
        an embedder whose `input_size` is the target gives the same vector for both.
        """
        workers = self._workers_of_this_process()
        ahead: deque[Future[Decoded | ImageError]] = deque()
        try:
            for source in sources:
                ahead.append(workers.threads.submit(workers.decode, source, target))
                if len(ahead) >= window:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()

    def decode_one(self, source: ImageFile, *, target: Size) -> Decoded:
        """Decode one image, ahead of those that wait in `decode_all`. Raises its ImageError."""
        result = self._workers_of_this_process().decode(source, target, urgent=True)
        if isinstance(result, ImageError):
            raise result
        return result

    def close(self) -> None:
        """End the processes when their current images are decoded; the next use starts new ones."""
        with self._lock:
            workers, self._workers = self._workers, None
        if workers and workers.pid == os.getpid():
            workers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _workers_of_this_process(self) -> _DecoderWorkers:
        with self._lock:
            if self._workers is None or self._workers.pid != os.getpid():
                decoders = [_Decoder(self._setup, self._seconds) for _ in range(self._processes)]
                self._workers = _DecoderWorkers(decoders)
            return self._workers


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
        """Decode in the next idle process, and a second time if that process died.

        Other causes can end a process, too, such as the kernel when memory runs out. So an image is
        only blamed when two processes have died over it.
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
    """At most one process, started when there is an image to decode."""

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
        except (EOFError, OSError, ValueError, LookupError):  # no answer, or a malformed one
            raise _Died(self.stop(grace=1)) from None
        finally:
            if answer is None:  # or the late answer would be taken for the next image's
                self.stop()

    def stop(self, *, grace: float = 0) -> str:
        """End the process, killing it after `grace` seconds; return how it ended."""
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
