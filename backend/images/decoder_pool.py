"""Decode untrusted images in separate processes, which may crash or hang without harm.

A process works on one image at a time, so it is clear which image made it crash. The process reads
the file, takes its digest, decodes it and shrinks it to the size that the embedder needs. Our own
threads only wait for the pipes.

Two kinds of callers share a pool, and neither can hold up the other. The catalogue's images
(`decode_all`) have the pool's processes. Urgent ones, for which a client waits (`decode_one`), have
one process of their own, and use the others only while no catalogue is decoded.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from math import inf
from pathlib import Path
from threading import Condition, Lock
from time import monotonic
from typing import Any, Final, Self

from backend import images
from backend.errors import DecoderBusy, DecoderDied, ImageError
from backend.images.decode import Size
from backend.images.decoder import PATIENCE, Decoder, DecoderEnded
from backend.images.decoder_groups import GROUP, Ahead, Found, in_groups
from backend.images.decoder_messages import Decoded, ImageFile, Region, Target
from backend.images.decoder_process import Decode
from backend.images.limits import ImageLimits
from backend.metrics.instruments import count_decoded

__all__ = ["Decoded", "DecoderPool", "ImageFile", "Region", "Target", "memory_needed"]

MAX_WAITING: Final = 32
"""Urgent images that wait for a decoder; further ones are refused at once."""

MAX_HELD: Final = 200_000_000
"""Bytes of image files that wait in memory to be decoded."""

TRIES: Final = 2


def memory_needed(limits: ImageLimits) -> int:
    """Return a bound for a decoder's memory in bytes. Measured: at most 17 B a pixel, by format."""
    return 500_000_000 + 30 * limits.max_pixels + 2 * limits.max_bytes


class DecoderPool:
    """A few decoder processes, shared by all threads of this process.

    They start with the first image, and again after a crash or a fork. They end when this process
    does, even if it is killed. `processes` decode the catalogue; one more decodes urgent images.
    `seconds` is the time limit of one image, and `wait_seconds` how long an urgent one waits for a
    decoder. `memory_bytes` bounds the address space of each process (0: no bound), by default with
    room for what `limits` allow. `decode` is a module's function; only tests pass another than
    `images.decode`.

    What a pool raises that is no ImageError is the host's fault: DecoderBusy and
    DecoderUnavailable.
    """

    def __init__(
        self,
        processes: int = 1,
        *,
        limits: ImageLimits,
        seconds: float = 10,
        wait_seconds: float = 10,
        memory_bytes: int | None = None,
        decode: Decode = images.decode,
    ) -> None:
        self._processes = processes
        self._seconds = seconds
        self._wait_seconds = wait_seconds
        self._setup: dict[str, Any] = {
            "decode": f"{decode.__module__}:{decode.__qualname__}",
            "limits": asdict(limits),
            "memory_bytes": memory_needed(limits) if memory_bytes is None else memory_bytes,
            # The decoder ends itself after this time: its parent may have been killed.
            "seconds": PATIENCE * seconds + 1,
        }
        self._workers: _DecoderWorkers | None = None
        self._lock = Lock()

    def decode_all(
        self, sources: Iterable[ImageFile], *, target: Size, window: int = 64
    ) -> Iterator[Decoded | ImageError]:
        """Decode each source to `target` (height, width); yield results, or errors, in order.

        Up to `window` images are decoded ahead while the caller works: it should be at least the
        size of the caller's batches. Fewer are, while their files have more than MAX_HELD bytes. A
        result is that of `images.decode(…, target=target)`, so that an embedder whose `input_size`
        is the target gives the same vector for both. Raises DecoderUnavailable.
        """
        workers = self._workers_of_this_process()
        ahead: deque[Ahead] = deque()
        waiting = held = 0
        workers.count_catalogues(1)
        try:
            for group in in_groups(sources, most=min(GROUP, window)):
                ahead.append(Ahead(workers.submit(group, target), group))
                waiting, held = waiting + len(group), held + ahead[-1].held
                while waiting >= window or (held > MAX_HELD and ahead):
                    first = ahead.popleft()
                    yield from workers.results(first, target)
                    waiting, held = waiting - len(first.group), held - first.held
            while ahead:
                yield from workers.results(ahead.popleft(), target)
        finally:
            for each in ahead:
                each.found.cancel()
            workers.count_catalogues(-1)

    def decode_one(self, source: ImageFile, *, target: Target) -> Decoded:
        """Decode one urgent image to `target`. Raises its ImageError.

        Raises DecoderBusy when no decoder is free in time, or too many images wait for one, and
        DecoderUnavailable when none can be started.
        """
        result = self._workers_of_this_process().decode(
            source, target, urgent=True, start_by=monotonic() + self._wait_seconds
        )
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
                decoders = [Decoder(self._setup, self._seconds) for _ in range(self._processes + 1)]
                self._workers = _DecoderWorkers(decoders)
            return self._workers


class _DecoderWorkers:
    """The decoders of one process, and the threads that keep them busy; the first is for urgent."""

    def __init__(self, decoders: list[Decoder]) -> None:
        self.pid = os.getpid()
        self._threads = ThreadPoolExecutor(len(decoders) - 1, thread_name_prefix="decoding")
        self._decoders = decoders
        self._urgent_only = decoders[0]
        self._idle = list(decoders)
        self._catalogues = 0  # callers of `decode_all`
        self._waiting = 0  # urgent images that wait for a decoder
        self._alone = 0  # images that wait until no other is decoded, or are decoded so
        self._changed = Condition()

    def count_catalogues(self, change: int) -> None:
        """Note that a caller of `decode_all` has come, or has gone."""
        with self._changed:
            self._catalogues += change
            self._changed.notify_all()

    def submit(self, group: Sequence[ImageFile], target: Size) -> Future[Found]:
        """Have some of the catalogue's images decoded; several are files."""
        return self._threads.submit(self._decode_group, group, target)

    def results(self, ahead: Ahead, target: Size) -> Iterator[Decoded | ImageError]:
        """Yield what became of a group; if its decoder died, each is decoded alone."""
        found = ahead.found.result()
        yield from found or (self.decode(one, target) for one in ahead.group)

    def _decode_group(self, group: Sequence[ImageFile], target: Size) -> Found:
        paths = [one for one in group if isinstance(one, Path)]
        if len(paths) < 2:
            return [self.decode(one, target) for one in group]
        with self._borrow(urgent=False, start_by=inf) as decoder:
            began = monotonic()
            found = decoder.decode_group(paths, target)
            seconds = (monotonic() - began) / len(paths)
        for one in found or ():
            _count(one, seconds)
        return found

    def decode(
        self, source: ImageFile, target: Target, *, urgent: bool = False, start_by: float = inf
    ) -> Decoded | ImageError:
        """Decode in an idle process, and a second time if that process died.

        Other causes can end a process, too, such as the kernel when memory runs out. So an image is
        only blamed when two processes have died over it; and when both were killed, a third one,
        beside which no other decoder runs.
        """
        with self._borrow(urgent=urgent, start_by=start_by) as decoder:
            began = monotonic()
            result = _decode_by(decoder, source, target, tries=TRIES, start_by=start_by)
            seconds = monotonic() - began
        if isinstance(result, DecoderEnded) and result.was_killed:
            with self._borrow_all(start_by) as decoder:
                result = _decode_by(decoder, source, target, tries=1, start_by=start_by)
            if isinstance(result, DecoderEnded):
                result = DecoderDied(
                    f"the image ended its decoder three times, also alone: {result}"
                )
        if isinstance(result, DecoderEnded):
            result = DecoderDied(f"the image ended its decoder twice ({result})")
        _count(result, seconds)
        return result

    @contextmanager
    def _borrow(self, *, urgent: bool, start_by: float) -> Iterator[Decoder]:
        with self._changed:
            if urgent and self._waiting >= MAX_WAITING:
                raise DecoderBusy("too many images wait for a decoder")
            self._waiting += urgent
            try:
                decoder = self._changed.wait_for(lambda: self._next(urgent), _until(start_by))
            finally:
                self._waiting -= urgent
            if decoder is None:
                raise DecoderBusy
            self._idle.remove(decoder)
        try:
            yield decoder
        finally:
            self._give_back([decoder])

    def _next(self, urgent: bool) -> Decoder | None:
        """Return the idle decoder that an image may take, if there is one."""
        if self._alone:
            return None
        if urgent and self._urgent_only in self._idle:
            return self._urgent_only
        if urgent and self._catalogues:
            return None
        return next((one for one in self._idle if one is not self._urgent_only), None)

    @contextmanager
    def _borrow_all(self, start_by: float) -> Iterator[Decoder]:
        """Wait until no image is decoded, end all processes but one, and lend that."""
        with self._changed:
            self._alone += 1
            try:
                if not self._changed.wait_for(self._all_idle, _until(start_by)):
                    raise DecoderBusy
                taken, self._idle = self._idle, []
            finally:
                self._alone -= 1
                self._changed.notify_all()
        for decoder in taken:
            decoder.stop()
        try:
            yield taken[0]
        finally:
            self._give_back(taken)

    def _all_idle(self) -> bool:
        return len(self._idle) == len(self._decoders)

    def _give_back(self, decoders: list[Decoder]) -> None:
        with self._changed:
            self._idle += decoders
            self._changed.notify_all()

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)
        with self._changed:
            self._changed.wait_for(self._all_idle)
            for decoder in self._decoders:
                decoder.stop()


def _count(result: Decoded | ImageError, seconds: float) -> None:
    outcome = result.code if isinstance(result, ImageError) else "ok"
    count_decoded(outcome, seconds=seconds)


def _decode_by(
    decoder: Decoder, source: ImageFile, target: Target, *, tries: int, start_by: float
) -> Decoded | ImageError | DecoderEnded:
    """Decode; return how the process ended if it did each time."""
    try:
        return decoder.decode(source, target, start_by=start_by)
    except DecoderEnded as end:
        if tries == 1:
            return end
    return _decode_by(decoder, source, target, tries=tries - 1, start_by=start_by)


def _until(moment: float) -> float | None:
    """Return the seconds until a moment of the monotonic clock; None for no limit."""
    return None if moment == inf else max(0.0, moment - monotonic())
