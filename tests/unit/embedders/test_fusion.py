"""Two parts of a vector: the tuned one counts as far as it is sure of what it sees."""

from __future__ import annotations

import numpy as np
import pytest

from backend.embedders.fusion import SHARPNESS, confidence, fuse
from backend.embedders.pixels import normalise

# Of three categories; nothing lies along the fourth axis.
DIRECTIONS = np.eye(3, 4, dtype=np.float32)
KNOWN, BETWEEN, FOREIGN = np.float32([[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 1]])


def test_confidence_is_the_largest_share_of_a_softmax() -> None:
    found = confidence(normalise(np.stack([KNOWN, BETWEEN, FOREIGN])), DIRECTIONS)

    e = np.exp(SHARPNESS)
    expected = [e / (e + 2), 1 / (2 + np.exp(-SHARPNESS / np.sqrt(2))), 1 / 3]
    assert found[:, 0] == pytest.approx(expected, abs=1e-5)


def test_the_lengths_of_directions_do_not_matter() -> None:
    tuned = normalise(np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32))

    assert confidence(tuned, 7 * DIRECTIONS) == pytest.approx(confidence(tuned, DIRECTIONS))


def test_the_start_decides_where_the_tuned_part_is_not_sure() -> None:
    tuned = np.stack([KNOWN, KNOWN, FOREIGN, FOREIGN])
    start = np.eye(2, dtype=np.float32)[[0, 1, 0, 1]]  # the two of each kind differ in it alone

    vectors = fuse(tuned, start, directions=DIRECTIONS, weight=0.5)

    assert vectors.shape == (4, 6)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert vectors[0] @ vectors[1] == pytest.approx(1 / 1.25, abs=1e-3)
    assert vectors[2] @ vectors[3] == pytest.approx((1 / 9) / (1 / 9 + 1 / 4), abs=1e-3)


def test_no_image_gives_no_vector() -> None:
    nothing = np.empty((0, 4), np.float32)

    assert fuse(nothing, nothing, directions=DIRECTIONS, weight=0.5).shape == (0, 8)
