"""The two axes of the map are the first two of a principal component analysis."""

from __future__ import annotations

import numpy as np
import pytest

from backend.web.admin.latent_map import SIDE, first_axes, project


def test_the_axes_are_those_of_a_whole_decomposition() -> None:
    rng = np.random.default_rng(1)
    scales = np.array([9, 5, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1], np.float32)
    turn, _ = np.linalg.qr(rng.normal(size=(12, 12)))
    vectors = ((rng.normal(size=(300, 12)) * scales) @ turn).astype(np.float32)
    centred = vectors - vectors.mean(axis=0)
    variances, whole = np.linalg.eigh(centred.T @ centred)
    found = first_axes(centred)
    for column, expected in enumerate((whole[:, -1], whole[:, -2])):
        assert abs(float(found[:, column] @ expected)) == pytest.approx(1, abs=1e-3)
    places, explained = project(vectors)
    assert explained == pytest.approx(variances[-2:].sum() / variances.sum(), abs=1e-3)
    assert places.min() >= 0
    assert places.max() < SIDE


@pytest.mark.parametrize("size", [1, 2, 3])
def test_vectors_of_few_dimensions_have_a_map(size: int) -> None:
    vectors = np.random.default_rng(0).normal(size=(5, size)).astype(np.float32)
    places, explained = project(vectors)
    assert places.shape == (5, 2)
    assert 0 < explained <= 1.0001


def test_equal_vectors_have_a_map() -> None:
    places, explained = project(np.ones((4, 6), np.float32))
    assert (places.shape, explained) == ((4, 2), 0)
