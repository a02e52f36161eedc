"""Confidence intervals of means: the percentile bootstrap over queries (Efron 1979)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from backend.lab.types import Floats

RESAMPLES: Final = 1000
DRAWS: Final = 4_000_000
"""Queries drawn in one block: 32 MB of memory."""


@dataclass(frozen=True)
class Estimate:
    """A mean and its confidence interval."""

    value: float
    low: float
    high: float


def estimates(
    values: Floats, *, seed: int = 0, resamples: int = RESAMPLES, level: float = 0.95
) -> list[Estimate]:
    """Return the mean of each column of `values` (queries, columns) with its interval.

    All columns share their resamples, so that the interval of a column of differences is that of
    a paired comparison. The interval is about the draw of the queries; the index is fixed.
    """
    means = np.concatenate(
        [counts @ values for counts in _resamplings(len(values), resamples, seed=seed)]
    )
    tails = (1 - level) / 2
    low, high = np.quantile(means / len(values), [tails, 1 - tails], axis=0)
    columns = zip(values.mean(axis=0), low, high, strict=True)
    return [Estimate(*map(float, column)) for column in columns]


def _resamplings(queries: int, resamples: int, *, seed: int) -> Iterator[Floats]:
    """Yield how often each resample draws each query, in blocks of (resamples, queries)."""
    rng = np.random.default_rng(seed)
    block = max(1, DRAWS // queries)
    for start in range(0, resamples, block):
        yield _counts(rng, min(block, resamples - start), queries)


def _counts(rng: np.random.Generator, resamples: int, queries: int) -> Floats:
    drawn = rng.integers(0, queries, (resamples, queries))
    drawn += np.arange(resamples)[:, None] * queries
    flat = np.bincount(drawn.ravel(), minlength=resamples * queries)
    return flat.reshape(resamples, queries).astype(np.float64)
