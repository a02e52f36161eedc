"""The embedders that one process has loaded, by name and by fingerprint.

A name can come to mean another network, when the package is upgraded or a checkpoint is trained
again. As long as the old network is in memory, it serves the generation that was built with it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from backend import embedders
from backend.embedders import Compute, Embedder
from backend.errors import LookalikeError, ModelMismatch

AGAIN_SECONDS: Final = 60
"""A name that was loaded with another fingerprint is loaded again only after this time."""


@dataclass(frozen=True)
class _Lookup:
    """The result of loading a name for the last time."""

    embedder: Embedder | None
    error: LookalikeError | None
    at: float


class LoadedEmbedders:
    """Loads each embedder once. Safe to call from several threads."""

    def __init__(self, compute: Compute) -> None:
        self._compute = compute
        self._lock = threading.Lock()
        self._names: dict[str, _Lookup] = {}
        self._held: dict[str, Embedder] = {}

    def named(self, spec: str) -> Embedder:
        """Return the embedder of a spec, loaded once. Raises what `embedders.load` does."""
        with self._lock:
            found = self._names.get(spec)
            return self._load(spec) if found is None or found.embedder is None else found.embedder

    def anew(self, spec: str) -> Embedder:
        """Load the embedder of a spec again, in case its weights have changed."""
        with self._lock:
            return self._load(spec)

    def exactly(self, spec: str, fingerprint: str) -> Embedder:
        """Return the embedder with this fingerprint, which the spec should name.

        Raises ModelMismatch when the spec names another one by now, or cannot be loaded.
        """
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
        """Forget embedders that no name means any more, except those with these fingerprints."""
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
        found = embedders.load(spec, compute=self._compute)
        embedder = self._held.setdefault(found.fingerprint, found)
        self._names[spec] = _Lookup(embedder, None, time.monotonic())
        return embedder
