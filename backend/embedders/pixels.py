"""From images to arrays, the same way in every embedder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL.Image import Image, Resampling

from backend.embedders import FloatArray

Pixels: TypeAlias = npt.NDArray[np.uint8]
"""(n, height, width, 3), RGB."""


def to_pixels(images: Sequence[Image], input_size: tuple[int, int]) -> Pixels:
    """Stretch images to `input_size` (height, width), bicubic.

    Decoders do the same: an image that one of them has shrunk passes unchanged.
    """
    height, width = input_size
    pixels = np.empty((len(images), height, width, 3), np.uint8)
    for row, image in zip(pixels, images, strict=True):
        picture = image if image.mode == "RGB" else image.convert("RGB")
        if picture.size != (width, height):
            picture = picture.resize((width, height), Resampling.BICUBIC)
        row[:] = np.asarray(picture)
    return pixels


def middle(pixels: Pixels, crop: tuple[int, int]) -> Pixels:
    """Return the middle of each picture, of `crop` (height, width)."""
    top, left = (pixels.shape[1] - crop[0]) // 2, (pixels.shape[2] - crop[1]) // 2
    return pixels[:, top : top + crop[0], left : left + crop[1]]


def to_bytes(channels: Sequence[float]) -> tuple[float, float, float]:
    """Scale red, green and blue from 0 to 1, as libraries state them, to 0 to 255."""
    red, green, blue = (255 * value for value in channels)
    return red, green, blue


def normalise(vectors: npt.NDArray[np.floating]) -> FloatArray:
    """Scale rows to length 1; a row of zeros becomes the diagonal, for an index refuses zeros."""
    rows = np.asarray(vectors, np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    diagonal = np.float32(rows.shape[1] ** -0.5)
    return np.where(lengths > 0, rows / np.maximum(lengths, np.finfo(np.float32).tiny), diagonal)
