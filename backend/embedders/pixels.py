"""Images -> arrays, in the same way for every embedder."""

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

    `images.fit` does the same, so an image that a decoder has shrunk stays as it is.
    """
    height, width = input_size
    pixels = np.empty((len(images), height, width, 3), np.uint8)
    for row, image in zip(pixels, images, strict=True):
        rgb = image if image.mode == "RGB" else image.convert("RGB")
        if rgb.size != (width, height):
            rgb = rgb.resize((width, height), Resampling.BICUBIC)
        row[:] = np.asarray(rgb)
    return pixels


def crop_middle(pixels: Pixels, crop: tuple[int, int]) -> Pixels:
    """Return the middle of each image, of `crop` (height, width)."""
    top, left = (pixels.shape[1] - crop[0]) // 2, (pixels.shape[2] - crop[1]) // 2
    return pixels[:, top : top + crop[0], left : left + crop[1]]


def to_byte_range(channels: Sequence[float]) -> tuple[float, float, float]:
    """Scale red, green and blue from the range 0 to 1, as in the libraries, to 0 to 255."""
    red, green, blue = (255 * value for value in channels)
    return red, green, blue


def normalise(vectors: npt.NDArray[np.floating]) -> FloatArray:
    """Scale rows to length 1. A row of zeros, which an index refuses, becomes the diagonal."""
    rows = np.asarray(vectors, np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    diagonal = np.float32(rows.shape[1] ** -0.5)
    return np.where(lengths > 0, rows / np.maximum(lengths, np.finfo(np.float32).tiny), diagonal)
