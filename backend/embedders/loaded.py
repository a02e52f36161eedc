"""The embedders that one process has loaded, by fingerprint.

A spec may name another network later: after an upgrade, or when a checkpoint was trained again.
While the old network is in memory, it still serves the generation that it built.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from backend import embedders
from backend.database.models import Generation
from backend.embedders import Compute, Embedder
from backend.errors import LookalikeError, ModelMismatch
from backend.processes import repeating

AGAIN_SECONDS: Final = 60
"""How long to wait until a spec that named another network is loaded again."""

LOADING_SECONDS: Final = 600.0
"""Weights may come over a slow network; what takes longer hangs."""


@dataclass(frozen=True)
class _Lookup:
    """What a spec named when it was last loaded."""

    embedder: Embedder | None
    error: LookalikeError | None
    at: float


class LoadedEmbedders:
    """Loads each embedder once. Safe to call from several threads.

    While one is loaded, which can take minutes, those in memory are returned at once. `heartbeat`
    is called all the time meanwhile, but not for longer than LOADING_SECONDS.
    """

    def __init__(
        self,
        compute: Compute,
        *,
        heartbeat: Callable[[], None] = lambda: None,
        read_statistics: Callable[[str], bytes | None] = lambda _: None,
    ) -> None:
        self.compute = compute
        self._read_statistics = read_statistics
        self._heartbeat = heartbeat
        self._loading: dict[str, threading.Lock] = {}  # spec -> held while it is loaded
        self._lock = threading.Lock()  # of the three dictionaries; never held for long
        self._names: dict[str, _Lookup] = {}
        self._held: dict[str, Embedder] = {}

    def named(self, spec: str) -> Embedder:
        """Return what a spec named when it was first loaded; raises what `embedders.load` does."""
        found = self._find(spec)
        if found is None:
            with self._load_alone(spec):
                found = self._find(spec) or self._load(spec)  # another thread may have loaded it
        return found

    def reload(self, spec: str) -> Embedder:
        """Return what a spec names now: its weights are read again."""
        with self._load_alone(spec):
            return self._load(spec)

    def of(self, generation: Generation) -> Embedder:
        """Return the embedder that built a generation.

        Raises ModelMismatch when its spec names another one now, or none that can be loaded.
        """
        spec, fingerprint = generation.embedder, generation.fingerprint
        looked_up = self._recent(spec)
        if held := self._held_one(fingerprint):
            return held
        if looked_up is None:
            with self._load_alone(spec):
                looked_up = self._recent(spec) or self._look_up(spec)
        if looked_up.embedder is None:
            raise ModelMismatch(f"{spec} cannot be loaded: {looked_up.error}")
        if looked_up.embedder.fingerprint != fingerprint:
            raise ModelMismatch(
                f"{spec} is another network here ({looked_up.embedder.fingerprint[:12]}) than the "
                f"one that built the index ({fingerprint[:12]})"
            )
        return looked_up.embedder

    @property
    def holds_several(self) -> bool:
        """Whether `keep` may have something to forget."""
        return len(self._held) > 1

    def keep(self, fingerprints: Collection[str]) -> None:
        """Forget the embedders that no spec names any more, except those with `fingerprints`."""
        with self._lock:
            named = {one.embedder.fingerprint for one in self._names.values() if one.embedder}
            for unused in self._held.keys() - named - set(fingerprints):
                del self._held[unused]

    def _find(self, spec: str) -> Embedder | None:
        with self._lock:
            found = self._names.get(spec)
        return found.embedder if found else None

    def _held_one(self, fingerprint: str) -> Embedder | None:
        with self._lock:
            return self._held.get(fingerprint)

    def _recent(self, spec: str) -> _Lookup | None:
        """Return what a spec named, unless it should be loaded again."""
        with self._lock:
            found = self._names.get(spec)
        return found if found and time.monotonic() - found.at <= AGAIN_SECONDS else None

    @contextmanager
    def _load_alone(self, spec: str) -> Iterator[None]:
        """Wait until no other thread loads this spec."""
        with self._lock:
            lock = self._loading.setdefault(spec, threading.Lock())
        with lock:
            yield

    def _look_up(self, spec: str) -> _Lookup:
        try:
            self._load(spec)
        except LookalikeError as error:
            with self._lock:
                self._names[spec] = _Lookup(None, error, time.monotonic())
        with self._lock:
            return self._names[spec]

    def _load(self, spec: str) -> Embedder:
        with repeating(self._heartbeat, most_seconds=LOADING_SECONDS):
            found = embedders.load(
                spec, compute=self.compute, read_statistics=self._read_statistics
            )
        with self._lock:
            embedder = self._held.setdefault(found.fingerprint, found)
            self._names[spec] = _Lookup(embedder, None, time.monotonic())
        return embedder
