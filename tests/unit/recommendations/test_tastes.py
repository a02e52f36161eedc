"""Tastes: several interests are several groups, and each gets its share of a list."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from backend.recommendations import tastes
from backend.recommendations.tastes import Taste
from backend.vectors import Vector


def near(axis: int, seed: int, size: int = 16) -> Vector:
    """Return a unit vector close to an axis."""
    noise = np.random.default_rng(seed).normal(size=size) * 0.05
    noise[axis] += 1
    vector: Vector = (noise / np.linalg.norm(noise)).astype(np.float32)
    return vector


BOOTS = [near(0, seed) for seed in range(4)]
DRESSES = [near(1, seed) for seed in range(4, 7)]


def test_two_interests_are_two_tastes() -> None:
    found = tastes.clusters([*BOOTS, *DRESSES], [1, 2, 3, 4, 1, 1, 1], least_cosine=0.6)

    assert [sorted(taste.members) for taste in found] == [[0, 1, 2, 3], [4, 5, 6]]
    assert found[0].members[0] == 3  # the heaviest first
    assert [taste.weight for taste in found] == [10, 3]
    assert found[0].vector @ BOOTS[0] > 0.95
    assert found[0].vector @ DRESSES[0] < 0.3


def test_an_average_lies_between_them() -> None:
    (one,) = tastes.average([*BOOTS, *DRESSES], [1] * 7)
    assert 0.4 < one.vector @ DRESSES[0] < 0.9
    assert np.linalg.norm(one.vector) == pytest.approx(1, abs=1e-6)


def test_each_example_can_be_a_taste() -> None:
    found = tastes.each([*BOOTS, *DRESSES], [1, 2, 3, 4, 5, 6, 7])
    assert [taste.members for taste in found] == [[6], [5], [4], [3], [2]]


def test_opposite_examples_have_a_direction() -> None:
    (one,) = tastes.average([BOOTS[0], -BOOTS[0]], [1, 1])
    assert np.isfinite(one.vector).all()
    assert np.linalg.norm(one.vector) == pytest.approx(1, abs=1e-6)


def test_places_are_shared_by_weight_and_early() -> None:
    found = [Taste(BOOTS[0], 6.0, [0]), Taste(DRESSES[0], 3.0, [1]), Taste(near(2, 9), 1.0, [2])]
    order = tastes.share_places(found, 10)
    assert Counter(order) == {0: 6, 1: 3, 2: 1}
    assert set(order[:3]) == {0, 1}
    assert tastes.share_places([], 5) == []
