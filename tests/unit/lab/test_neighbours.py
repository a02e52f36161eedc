"""The exact search and the figures about lists, against the plainest way to compute them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from backend.lab.evaluation import neighbours
from backend.lab.evaluation.neighbours import Metric, intra_list_diversity, nearest


def cloud(items: int, size: int = 8) -> np.ndarray:
    return np.random.default_rng(items).normal(size=(items, size)).astype(np.float32)


def plain(vectors: np.ndarray, query: int, metric: Metric) -> list[tuple[float, int]]:
    """Return (score, position) of all others, best first."""
    if metric == "cosine":
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        scores = unit @ unit[query]
    else:
        scores = -np.linalg.norm(vectors - vectors[query], axis=1)
    return sorted(((s, i) for i, s in enumerate(scores.tolist()) if i != query), reverse=True)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("items", [7, 64, 65, 700])
def test_the_nearest_are_those_of_a_full_sort(
    items: int, metric: Metric, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "BLOCK", 3 * 704)  # several blocks
    vectors = cloud(items)
    queries = np.arange(0, items, 3)

    found = nearest(vectors, queries, k=5, metric=metric)

    for row, query in enumerate(queries):
        expected = plain(vectors, query, metric)[:5]
        assert found.positions[row].tolist() == [position for _, position in expected]
        assert found.scores[row] == pytest.approx([score for score, _ in expected], abs=1e-4)


def test_a_query_is_never_its_own_neighbour_though_its_twin_is() -> None:
    vectors = np.repeat(cloud(40), 2, axis=0)

    found = nearest(vectors, np.arange(80), k=1)

    assert found.positions[:, 0].tolist() == [position ^ 1 for position in range(80)]
    assert found.scores == pytest.approx(1)


def test_a_small_index_fills_up_with_nobody() -> None:
    found = nearest(cloud(3), np.array([1]), k=5)

    assert set(found.positions[0, :2].tolist()) == {0, 2}
    assert found.positions[0, 2:].tolist() == [-1, -1, -1]


def test_diversity_is_the_mean_distance_of_pairs() -> None:
    vectors = cloud(30)
    lists = np.array([[1, 2, 3, 4], [9, 5, 7, 11], [4, 8, -1, -1], [3, -1, -1, -1]])

    found = intra_list_diversity(vectors, lists)

    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for row, members in enumerate(lists[:3]):
        pairs = combinations([m for m in members if m >= 0], 2)
        assert found[row] == pytest.approx(np.mean([1 - unit[a] @ unit[b] for a, b in pairs]))
    assert np.isnan(found[3])
