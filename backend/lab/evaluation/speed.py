"""How fast is an embedder? In images a second, beside others under the same conditions."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final

from PIL.Image import Image

from backend.embedders import Embedder

ROUNDS: Final = 3


def images_per_second(
    embedders: Mapping[str, Embedder], pictures: Mapping[str, Sequence[Image]]
) -> dict[str, float]:
    """Time the forward pass of each embedder on its pictures, decoded beforehand.

    The embedders take turns and the fastest round of each counts, after one that is not timed: so
    a machine that is busy elsewhere slows them down alike, and ratios hold better than figures.
    """
    least = dict.fromkeys(embedders, float("inf"))
    for name, embedder in embedders.items():
        embedder.embed(pictures[name])
    for _ in range(ROUNDS):
        for name, embedder in embedders.items():
            started = time.perf_counter()
            embedder.embed(pictures[name])
            least[name] = min(least[name], time.perf_counter() - started)
    return {name: len(pictures[name]) / seconds for name, seconds in least.items()}
