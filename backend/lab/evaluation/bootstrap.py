"""How sure is a mean? The percentile bootstrap over queries (Efron 1979), in blocks of numpy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Values: TypeAlias = npt.NDArray[np.float64]

RESAMPLES: Final = 1000
DRAWS: Final = 4_000_000
"""Queries drawn at once: 32 MB, however many there are."""


@dataclass(frozen=True)
class Estimate:
    """A mean and its interval."""

    value: float
    low: float
    high: float


def estimates(
    values: Values, *, seed: int = 0, resamples: int = RESAMPLES, level: float = 0.95
) -> list[Estimate]:
    """Return the mean of each column of `values` (queries, columns) with its interval.

    All columns share their resamples, so that the interval of a column of differences is that of
    a paired comparison. It speaks of the draw of the queries: the index stays as it is.
    """
    means = np.concatenate(
        [counts @ values for counts in _resamplings(len(values), resamples, seed=seed)]
    )
    tails = (1 - level) / 2
    low, high = np.quantile(means / len(values), [tails, 1 - tails], axis=0)
    columns = zip(values.mean(axis=0), low, high, strict=True)
    return [Estimate(*map(float, column)) for column in columns]


def _resamplings(queries: int, resamples: int, *, seed: int) -> Iterator[Values]:
    """Yield how often each resample draws each query, as (resamples, queries), in blocks."""
    dice = np.random.default_rng(seed)
    block = max(1, DRAWS // queries)
    for start in range(0, resamples, block):
        yield _counts(dice, min(block, resamples - start), queries)


def _counts(dice: np.random.Generator, resamples: int, queries: int) -> Values:
    drawn = dice.integers(0, queries, (resamples, queries))
    drawn += np.arange(resamples)[:, None] * queries
    flat = np.bincount(drawn.ravel(), minlength=resamples * queries)
    return flat.reshape(resamples, queries).astype(np.float64)
