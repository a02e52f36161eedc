"""The two parts of a tuned vector, put together: the tuned one counts as far as it is sure."""

from __future__ import annotations

from typing import Final

import numpy as np

from backend.embedders import FloatArray
from backend.embedders.pixels import normalise

SHARPNESS: Final = 12.0
"""Of the softmax that tells how sure the tuned part is; chosen on the validation of the default."""


def fuse(
    tuned: FloatArray, start: FloatArray, *, directions: FloatArray, weight: float
) -> FloatArray:
    """Return [confidence * tuned, weight * start] at length 1, (n, both sizes).

    `tuned` (n, size) and `start` (n, any size) have length 1. Confidence, from 0 to 1, is the
    largest share of a softmax over the cosines of `tuned` to `directions` (categories, size): it is
    near 1 for a picture of a category that training knew. Of another it is small, and what the
    network knew before tuning decides.
    """
    return normalise(np.hstack([confidence(tuned, directions) * tuned, weight * start]))


def confidence(tuned: FloatArray, directions: FloatArray) -> FloatArray:
    """Tell how sure the tuned part is of the category, (n, 1)."""
    cosines = tuned @ normalise(directions).T
    shares = np.exp(SHARPNESS * (cosines - cosines.max(axis=1, keepdims=True)))
    return np.asarray(1 / shares.sum(axis=1, keepdims=True), np.float32)
