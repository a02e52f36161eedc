"""The embedders that one process has loaded, by fingerprint.

A spec may name another network later: after an upgrade, or when a checkpoint was trained again.
While the old network is in memory, it still serves the generation that it built.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from backend import embedders
from backend.database.models import Generation
from backend.embedders import Compute, Embedder
from backend.errors import LookalikeError, ModelMismatch

AGAIN_SECONDS: Final = 60
"""How long to wait until a spec that named another network is loaded again."""


@dataclass(frozen=True)
class _Lookup:
    """What a spec named when it was last loaded."""

    embedder: Embedder | None
    error: LookalikeError | None
    at: float


class LoadedEmbedders:
    """Loads each embedder once. Safe to call from several threads."""

    def __init__(self, compute: Compute) -> None:
        self.compute = compute
        self._lock = threading.Lock()
        self._names: dict[str, _Lookup] = {}
        self._held: dict[str, Embedder] = {}

    def named(self, spec: str) -> Embedder:
        """Return what a spec named when it was first loaded; raises what `embedders.load` does."""
        with self._lock:
            found = self._names.get(spec)
            return self._load(spec) if found is None or found.embedder is None else found.embedder

    def reload(self, spec: str) -> Embedder:
        """Return what a spec names now: its weights are read again."""
        with self._lock:
            return self._load(spec)

    def of(self, generation: Generation) -> Embedder:
        """Return the embedder that built a generation.

        Raises ModelMismatch when its spec names another one now, or none that can be loaded.
        """
        spec, fingerprint = generation.embedder, generation.fingerprint
        with self._lock:
            if fingerprint in self._held:
                return self._held[fingerprint]
            looked_up = self._names.get(spec)
            if looked_up is None or time.monotonic() - looked_up.at > AGAIN_SECONDS:
                looked_up = self._look_up(spec)
        if looked_up.embedder is None:
            raise ModelMismatch(f"{spec} cannot be loaded: {looked_up.error}")
        if looked_up.embedder.fingerprint != fingerprint:
            raise ModelMismatch(
                f"{spec} is another network here ({looked_up.embedder.fingerprint[:12]}) than the "
                f"one that built the index ({fingerprint[:12]})"
            )
        return looked_up.embedder

    def keep(self, fingerprints: Collection[str]) -> None:
        """Forget the embedders that no spec names any more, except those with `fingerprints`."""
        with self._lock:
            named = {one.embedder.fingerprint for one in self._names.values() if one.embedder}
            for unused in self._held.keys() - named - set(fingerprints):
                del self._held[unused]

    def _look_up(self, spec: str) -> _Lookup:
        try:
            self._load(spec)
        except LookalikeError as error:
            self._names[spec] = _Lookup(None, error, time.monotonic())
        return self._names[spec]

    def _load(self, spec: str) -> Embedder:
        found = embedders.load(spec, compute=self.compute)
        embedder = self._held.setdefault(found.fingerprint, found)
        self._names[spec] = _Lookup(embedder, None, time.monotonic())
        return embedder
