"""What was read of query strings before: a shop asks the same of one product after the other."""

from __future__ import annotations

from typing import Final, Generic, TypeVar

T = TypeVar("T")

MOST: Final = 512
LONGEST: Final = 2_000
"""Bytes of a query string that is remembered: so all of them take a few megabytes at most."""


class Remembered(Generic[T]):
    """What some query strings mean, by their bytes. Threads may share it.

    Only what the bytes alone decide may be kept, and nobody may change it.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, T] = {}

    def get(self, sent: bytes) -> T | None:
        """Return what is remembered of a query string."""
        return self._known.get(sent)

    def keep(self, sent: bytes, meaning: T) -> None:
        """Remember a query string; where there are too many, forget all others."""
        if len(sent) > LONGEST:
            return
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[sent] = meaning
