"""A deterministic embedder without a network: mean colours over a small grid. For fast tests."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from PIL.Image import Image, Resampling

from backend.embedders import Compute, FloatArray, register
from backend.errors import UnknownEmbedder

GRID = (3, 2)  # rows, columns


class MeanColour:
    """Mean RGB of each cell of a grid, and a constant, so that black has a direction too."""

    name = "mean-colour"
    input_size = (48, 32)
    size = 3 * GRID[0] * GRID[1] + 1
    fingerprint = hashlib.sha256(f"mean-colour 1 {GRID} {input_size}".encode()).hexdigest()

    def embed(self, images: Sequence[Image]) -> FloatArray:
        """Embed RGB images of any size: (n, size) float32, L2-normalised, in input order."""
        vectors = np.ones((len(images), self.size), dtype=np.float32)
        height, width = self.input_size
        for row, image in zip(vectors, images, strict=True):
            picture = image.resize((width, height), Resampling.BICUBIC)
            cells = picture.resize((GRID[1], GRID[0]), Resampling.BOX)
            row[:-1] = np.asarray(cells, dtype=np.float32).ravel() / 255
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors


@register("mean-colour")
def make(variant: str, *, compute: Compute, **options: str) -> MeanColour:  # noqa: ARG001
    """Make it; it takes no variant and no options."""
    if variant or options:
        raise UnknownEmbedder("mean-colour takes no variant and no options")
    return MeanColour()
