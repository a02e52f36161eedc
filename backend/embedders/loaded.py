"""The embedders that one process holds, by what they are rather than by their name.

A name can come to mean another network: the package was upgraded, a checkpoint trained anew. Then
the old one, while it is in memory, goes on to serve the generation that it built.
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
"""How long a name that means something else than what was asked for is not looked up again."""


@dataclass(frozen=True)
class _Lookup:
    """What a name meant when it was last looked up."""

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
        """Return what a spec meant when it was first loaded; raises what `embedders.load` does."""
        with self._lock:
            found = self._names.get(spec)
            return self._load(spec) if found is None or found.embedder is None else found.embedder

    def anew(self, spec: str) -> Embedder:
        """Return what a spec means now: its weights are read again."""
        with self._lock:
            return self._load(spec)

    def of(self, generation: Generation) -> Embedder:
        """Return the embedder that built a generation.

        Raises ModelMismatch when its spec means another one by now, or none that can be loaded.
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
        """Let go of embedders that no name means any more, but for these."""
        with self._lock:
            meant = {one.embedder.fingerprint for one in self._names.values() if one.embedder}
            for gone in self._held.keys() - meant - set(fingerprints):
                del self._held[gone]

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
