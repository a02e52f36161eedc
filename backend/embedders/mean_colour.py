"""The mean colours of a small grid: no network, fast. For tests and trials."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL.Image import Image

from backend.embedders import Block, Compute, FloatArray, register
from backend.embedders.fingerprints import fingerprint
from backend.embedders.pixels import normalise, to_pixels
from backend.errors import UnknownEmbedder

CELL = 8  # pixels a side


class MeanColour:
    """Embeds an image as the mean red, green and blue of each cell of a grid, and a constant.

    Because of the constant, a black image has no zero vector.
    """

    blocks: tuple[Block, ...] = ()

    def __init__(self, grid: int, *, batch_size: int = 0) -> None:
        self.batch_size = batch_size or 32
        self.name = f"mean-colour?grid={grid}"
        self.input_size = (grid * CELL, grid * CELL)
        self.size = 3 * grid * grid + 1
        self.fingerprint = fingerprint({"family": "mean-colour", "grid": grid, "cell": CELL}, {})
        self._grid = grid

    def embed(self, images: Sequence[Image]) -> FloatArray:
        """Embed images: (n, 3 · grid² + 1) float32, L2-normalised, in input order."""
        count, grid = len(images), self._grid
        cells = to_pixels(images, self.input_size).reshape(count, grid, CELL, grid, CELL, 3)
        means = cells.mean(axis=(2, 4), dtype=np.float32).reshape(count, self.size - 1) / 255
        return normalise(np.hstack([means, np.ones((count, 1), np.float32)]))


@register("mean-colour")
def load_mean_colour(
    variant: str,
    *,
    compute: Compute,
    grid: str = "4",
) -> MeanColour:
    """Make the embedder; `grid` is the number of cells along a side, 1 to 16.

    Raises UnknownEmbedder for anything else.
    """
    if variant or not grid.isdecimal() or not 1 <= int(grid) <= 16:
        raise UnknownEmbedder("mean-colour takes grid=1 to grid=16 and no variant")
    return MeanColour(int(grid), batch_size=compute.batch_size)
