"""The speed of embedders in images a second, measured under the same conditions."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final

from PIL.Image import Image

from backend.embedders import Embedder

ROUNDS: Final = 3


def images_per_second(
    embedders: Mapping[str, Embedder], images: Mapping[str, Sequence[Image]]
) -> dict[str, float]:
    """Time the forward pass of each embedder on its images, which are decoded already.

    The embedders run in turns, after one round that is not timed, and the fastest round of each
    counts. So other work on the machine slows all of them down: ratios are more reliable than
    figures.
    """
    least = dict.fromkeys(embedders, float("inf"))
    for name, embedder in embedders.items():
        embedder.embed(images[name])
    for _ in range(ROUNDS):
        for name, embedder in embedders.items():
            started = time.perf_counter()
            embedder.embed(images[name])
            least[name] = min(least[name], time.perf_counter() - started)
    return {name: len(images[name]) / seconds for name, seconds in least.items()}
