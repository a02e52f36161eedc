"""What an import holds of every row, a few bytes each, and how often memory is looked through."""

from __future__ import annotations

import gc
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np

from backend.catalogue.skus import normalise

YOUNG_OBJECTS: Final = 100_000
"""New objects after which garbage is collected: those of two or three chunks."""


@contextmanager
def rare_collections() -> Iterator[None]:
    """Collect garbage more rarely: a chunk makes many objects and hardly any garbage in cycles.

    With Python's own number, nearly all collections walked through a chunk that was still in use:
    a quarter of the processor time of an import.
    """
    young, *older = gc.get_threshold()
    gc.set_threshold(max(young, YOUNG_OBJECTS), *older)
    try:
        yield
    finally:
        gc.set_threshold(young, *older)


class LastLines:
    """The last line of every sku that comes more than once; takes 16 bytes a row while built.

    Compares hashes of 64 bits, so as not to hold the skus themselves.
    """

    def __init__(self, skus: Iterable[tuple[int, str]]) -> None:
        lines, hashes = array("q"), array("q")
        for line, sku in skus:
            lines.append(line)
            hashes.append(hash(sku if sku.isascii() else normalise(sku)))
        self.total = len(lines)
        self.end = lines[-1] if lines else 0  # the last line of all
        order = np.argsort(np.asarray(hashes), kind="stable")
        in_order = np.asarray(hashes)[order]
        again = np.flatnonzero(in_order[1:] == in_order[:-1]) + 1
        self.repeated = int((in_order[again] != hash("")).sum())  # lines whose sku came before
        self._last = {int(in_order[at]): lines[order[at]] for at in again}

    def last(self, sku: str) -> int | None:
        """Return the last line with this sku; None for a sku that comes once."""
        return self._last.get(hash(normalise(sku))) if self._last else None


class IdSet:
    """A set of ids, one bit each."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def update(self, ids: Iterable[int]) -> None:
        """Add ids."""
        for number in ids:
            missing = number // 8 + 1 - len(self._bits)
            if missing > 0:
                self._bits.extend(bytes(missing + len(self._bits) // 8))
            self._bits[number // 8] |= 1 << number % 8

    def __contains__(self, number: int) -> bool:
        place = number // 8
        return place < len(self._bits) and bool(self._bits[place] >> number % 8 & 1)
