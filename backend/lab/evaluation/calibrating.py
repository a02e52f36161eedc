"""How well a curve of `match` tells the label: fitted on some queries, judged on others."""

from __future__ import annotations

from typing import Final

import numpy as np

from backend.embedders import FloatArray
from backend.lab.evaluation.labels import Labels
from backend.lab.evaluation.neighbours import nearest
from backend.lab.evaluation.results import Calibration
from backend.lab.evaluation.scoring import hits
from backend.lab.evaluation.splits import draw
from backend.lab.types import Positions
from backend.search.matches import Pairs, fit_and_judge

QUERIES: Final = 2_000
"""Queries at most; a curve has some 40 points."""

NEIGHBOURS: Final = 30
"""Of each query, as for a generation."""


def calibrate(
    embedder: str, vectors: FloatArray, labels: Labels, queries: Positions, *, seed: int
) -> Calibration | None:
    """Fit a curve to four fifths of the queries, and compare it with the labels of the others.

    `queries` are positions in `vectors` (products, size). None if they are too few, or if all pairs
    are alike.
    """
    labelled = queries[labels.codes[queries] >= 0]
    drawn = draw(labelled, min(QUERIES, len(labelled)), seed=seed)
    if len(drawn) < 2:
        return None
    found = nearest(vectors, drawn, k=NEIGHBOURS)
    known = (found.positions >= 0) & (labels.codes[found.positions] >= 0)
    same = hits(labels, labels.codes[drawn], found.positions)
    scores = np.clip(found.scores.astype(np.float64), -1, 1)
    pairs = [Pairs(scores[at][known[at]], same[at][known[at]]) for at in range(len(drawn))]
    far = _far_pairs(vectors, labels, drawn)
    fitted = fit_and_judge(pairs, far, by=labels.by, products=len(vectors))
    if fitted is None:
        return None
    curve, bins = fitted
    return Calibration(
        embedder=embedder,
        by=labels.by,
        scores=curve.scores,
        shares=curve.shares,
        fitted_pairs=curve.pairs,
        pairs=sum(it.pairs for it in bins),
        error=curve.error,
        bins=bins,
    )


def _far_pairs(vectors: FloatArray, labels: Labels, drawn: Positions) -> list[Pairs]:
    """Pair each query with the next ones, which are drawn from all."""
    units = vectors[drawn] / np.linalg.norm(vectors[drawn], axis=1, keepdims=True)
    codes = labels.codes[drawn]
    steps = range(1, min(NEIGHBOURS, len(drawn) - 1) + 1)
    scores = np.stack([(units * np.roll(units, -step, axis=0)).sum(axis=1) for step in steps], 1)
    same = np.stack([codes == np.roll(codes, -step) for step in steps], 1)
    clipped = np.clip(scores.astype(np.float64), -1, 1)
    return [Pairs(clipped[at], same[at]) for at in range(len(drawn))]
