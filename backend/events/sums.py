"""Sums over very many pairs of numbers, as arrays."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backend.events.acts import Numbers


class PairSums(NamedTuple):
    """Pairs of products in both directions, by product, and what they add."""

    one: Numbers
    other: Numbers
    score: NDArray[np.float64]
    times: Numbers


class Groups(NamedTuple):
    """The different pairs of numbers, in their order, and `place`: which one each row is."""

    one: Numbers
    other: Numbers
    place: Numbers

    def sum(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sum of the rows' values for each pair."""
        found = np.bincount(self.place, weights=values, minlength=len(self.one))
        return found.astype(np.float64, copy=False)

    def rows(self) -> Numbers:
        """Return how many rows each pair has."""
        return np.bincount(self.place, minlength=len(self.one)).astype(np.int64, copy=False)

    def largest(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the largest of the rows' values for each pair."""
        found = np.full(len(self.one), -np.inf)
        np.maximum.at(found, self.place, values)
        return found


def group(one: Numbers, other: Numbers) -> Groups:
    """Find the different pairs of two arrays of one length."""
    values, places = np.unique(np.concatenate((one, other)), return_inverse=True)
    count, middle = max(1, len(values)), len(one)
    keys, place = np.unique(places[:middle] * count + places[middle:], return_inverse=True)
    return Groups(values[keys // count], values[keys % count], place)


def as_rows(*columns: NDArray[Any]) -> list[tuple[Any, ...]]:
    """Return arrays of one length as rows of Python's own numbers."""
    return list(zip(*(it.tolist() for it in columns), strict=True))
