"""The exact nearest neighbours, by a full scan in blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np

from backend.embedders import FloatArray
from backend.lab.types import Floats, Positions

Metric: TypeAlias = Literal["cosine", "euclidean"]

BLOCK: Final = 32_000_000
"""Scores in memory at once: 128 MB."""

GROUP: Final = 64


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """The k nearest of each query, best first; -1 where the index has fewer."""

    positions: Positions  # (queries, k), in the index
    scores: FloatArray  # (queries, k): cosine, or minus the euclidean distance


def nearest(
    vectors: FloatArray, queries: Positions, *, k: int, metric: Metric = "cosine"
) -> Neighbours:
    """Return the k nearest of some positions of `vectors` (items, size), without themselves.

    Equal scores come in any order, the same every time. For vectors of length 1 both metrics give
    the same order.
    """
    index = _padded(vectors, unit=metric == "cosine")
    wanted = min(k, len(vectors) - 1)
    positions = np.full((len(queries), k), -1, np.int64)
    scores = np.full((len(queries), k), -np.inf, np.float32)
    rows = max(1, BLOCK // len(index))
    for start in range(0, len(queries), rows):
        block = slice(start, start + rows)
        near = _scores(index, queries[block], metric)
        near[:, len(vectors) :] = -np.inf
        positions[block, :wanted], scores[block, :wanted] = _best(near, wanted)
    if metric == "euclidean":
        squares = (vectors[queries] ** 2).sum(axis=1, keepdims=True)
        scores = -np.sqrt(np.maximum(squares - scores, 0))
    return Neighbours(positions=positions, scores=scores)


def intra_list_diversity(vectors: FloatArray, neighbours: Positions) -> Floats:
    """Return, for each list, the mean cosine distance of its pairs (Ziegler et al. 2005).

    (queries,); NaN for a list of fewer than two. The cosines of all pairs of n unit vectors v add
    up to (|sum v|² - n) / 2.
    """
    lengths = (neighbours >= 0).sum(axis=1)
    norms = np.linalg.norm(vectors, axis=1)
    squares = np.empty(len(neighbours))
    rows = max(1, BLOCK // neighbours.shape[1] // vectors.shape[1])
    for start in range(0, len(neighbours), rows):
        lists = neighbours[start : start + rows]
        members = vectors[lists] / norms[lists][:, :, None] * (lists >= 0)[:, :, None]
        squares[start : start + rows] = (members.sum(axis=1) ** 2).sum(axis=1)
    pairs = lengths * (lengths - 1) / 2
    cosines = (squares - lengths) / 2
    mean = np.full(len(pairs), np.nan)
    np.divide(cosines, pairs, out=mean, where=pairs > 0)
    return 1 - mean


def _padded(vectors: FloatArray, *, unit: bool) -> FloatArray:
    """Return a copy with rows of zeros up to whole groups; `unit` normalises its rows."""
    width = -(-len(vectors) // GROUP) * GROUP
    padded = np.zeros((width, vectors.shape[1]), np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True) if unit else np.float32(1)
    np.divide(vectors, lengths, out=padded[: len(vectors)])
    return padded


def _scores(index: FloatArray, queries: Positions, metric: Metric) -> FloatArray:
    """Score all items, (queries, items); nearer is higher, and the query itself is lowest.

    The euclidean score is 2 qx - |x|², which is |q|² minus the squared distance.
    """
    scores = index[queries] @ index.T
    if metric == "euclidean":
        scores *= 2
        scores -= (index**2).sum(axis=1)
    scores[np.arange(len(queries)), queries] = -np.inf
    return scores


def _best(scores: FloatArray, k: int) -> tuple[Positions, FloatArray]:
    """Return the k best columns of each row, best first, and their scores.

    The k best are in the k groups with the greatest maxima, and maxima are cheap: this sorts
    k * GROUP scores a row instead of all of them.
    """
    rows, width = scores.shape
    groups = width // GROUP
    maxima = scores.reshape(rows, GROUP, groups).max(axis=1)  # column c is in group c % groups
    if groups > k:
        chosen = np.argpartition(-maxima, k, axis=1)[:, :k]
    else:
        chosen = np.broadcast_to(np.arange(groups), (rows, groups))
    members = chosen[:, None, :] + np.arange(GROUP)[:, None] * groups
    columns = members.reshape(rows, -1)
    candidates = np.take_along_axis(scores, columns, axis=1)
    order = np.argsort(-candidates, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(columns, order, axis=1), np.take_along_axis(candidates, order, axis=1)
