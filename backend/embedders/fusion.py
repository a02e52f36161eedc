"""Join the two parts of a tuned vector; the tuned part counts as much as it is confident."""

from __future__ import annotations

from typing import Final

import numpy as np

from backend.embedders import FloatArray
from backend.embedders.pixels import normalise

SHARPNESS: Final = 12.0
"""Factor of the cosines in the softmax, chosen on validation products of the default network."""


def fuse(
    tuned: FloatArray, start: FloatArray, *, directions: FloatArray, weight: float
) -> FloatArray:
    """Return [confidence * tuned, weight * start] at length 1, (n, both sizes).

    `tuned` (n, size) and `start` (n, any size) have length 1. Confidence, from 0 to 1, is the
    largest share of a softmax over the cosines of `tuned` to `directions` (categories, size): near
    1 for an image of a trained category. For others it is small, and the features from before
    tuning decide.
    """
    return normalise(np.hstack([confidence(tuned, directions) * tuned, weight * start]))


def confidence(tuned: FloatArray, directions: FloatArray) -> FloatArray:
    """Return how sure the tuned part is of the category, (n, 1) from 0 to 1."""
    cosines = tuned @ normalise(directions).T
    shares = np.exp(SHARPNESS * (cosines - cosines.max(axis=1, keepdims=True)))
    return np.asarray(1 / shares.sum(axis=1, keepdims=True), np.float32)
