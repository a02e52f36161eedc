"""The words of product names as teachers: what a shop calls alike should look alike.

Names are no labels: every shop has them, and nobody has to sort them. Words of colours are left
out, because a look that tells them would part the variants of one product.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from backend.embedders import FloatArray
from backend.embedders.words import words_of

Words: TypeAlias = frozenset[str]

FEWEST: Final = 3  # names that hold a word
MOST_WORDS: Final = 1_500
TEXT_AXES: Final = 400  # of the bags of words
TEXT_POWER: Final = 0.5  # how far these axes are evened out
RIDGE: Final = 0.3  # of the mean variance of the inputs
MOST_AXES: Final = 128  # that are returned


def words_of_names(names: Sequence[str | None], colours: Iterable[str | None]) -> tuple[Words, ...]:
    """Return the words of each name without those that stand in the values of colours."""
    left_out = {word for colour in set(colours) if colour for word in words_of(colour)}
    return tuple(frozenset(words_of(name or "") - left_out) for name in names)


def guess_groups(words: Sequence[Words]) -> npt.NDArray[np.intp]:
    """Give products whose names differ in colours alone the same number, (n,); -1: no name."""
    numbers: dict[Words, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) if name else -1 for name in words])


def predicting_axes(inputs: FloatArray, names: Sequence[Words]) -> npt.NDArray[np.float64]:
    """Return axes of inputs (n, size) that predict the words of names: (size, fewer).

    A ridge regression to the bags of words, weighted by rarity, and the principal axes of what it
    predicts.
    """
    texts = _texts(names)
    covariance = np.asarray(inputs.T @ inputs / len(inputs), np.float64)
    covariance[np.diag_indices_from(covariance)] += RIDGE * np.trace(covariance) / len(covariance)
    slopes = np.linalg.solve(covariance, np.asarray(inputs.T @ texts / len(inputs), np.float64))
    predicted = inputs @ slopes.astype(np.float32)
    _, axes = np.linalg.eigh(np.asarray(predicted.T @ predicted, np.float64))
    found: npt.NDArray[np.float64] = slopes @ axes[:, ::-1][:, :MOST_AXES]
    return found


def _texts(names: Sequence[Words]) -> FloatArray:
    """Return the principal axes of the bags of words, partly evened out: (n, axes)."""
    bags = _bags(names)
    bags -= bags.mean(axis=0)
    variances, axes = np.linalg.eigh(np.asarray(bags.T @ bags / len(bags), np.float64))
    variances, axes = variances[::-1][:TEXT_AXES], axes[:, ::-1][:, :TEXT_AXES]
    evened = np.maximum(variances, 1e-9) + 0.01 * variances.mean()
    return np.asarray(bags @ (axes * evened ** (-TEXT_POWER / 2)).astype(np.float32), np.float32)


def _bags(names: Sequence[Words]) -> FloatArray:
    counts = Counter(word for name in names for word in name)
    frequent = sorted(counts.items(), key=lambda it: (-it[1], it[0]))[:MOST_WORDS]
    columns = {word: place for place, (word, count) in enumerate(frequent) if count >= FEWEST}
    rarity = np.array([np.log(len(names) / counts[word]) for word in columns], np.float32)
    bags = np.zeros((len(names), len(columns)), np.float32)
    for row, name in enumerate(names):
        known = [columns[word] for word in name if word in columns]
        bags[row, known] = rarity[known]
    lengths = np.linalg.norm(bags, axis=1, keepdims=True)
    return np.asarray(bags / np.maximum(lengths, np.float32(1e-9)), np.float32)
