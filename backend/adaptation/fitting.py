"""Fit the map of the look to the features of one shop: what tells its products apart counts more.

Three covariances are mixed: of all products, of the differences between the variants of one
product, and of the differences between mutual nearest neighbours, which need no labels. Directions
in which variants and neighbours differ tell least about a product, so they are scaled down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from backend.embedders import FloatArray
from backend.embedders.pixels import normalise

Codes = npt.NDArray[np.intp]
"""(n,): the number of each product's group; -1 without one."""

Doubles = npt.NDArray[np.float64]

SIZE: Final = 320  # of the mapped look: with kind and colours, a vector has 512 dimensions
PLAIN_POWER: Final = 0.75
RIDGE: Final = 1e-3  # of the mean variance, added to each: keeps rare directions from exploding
NEIGHBOURS_OF: Final = 8_000  # products among which mutual neighbours are sought
BLOCK: Final = 1_000  # rows of similarities that are computed at once


@dataclass(frozen=True, kw_only=True)
class Mix:
    """How much of each covariance counts, and how far its axes are evened out."""

    name: str
    whole: float
    neighbours: float = 0.0
    groups: float = 0.0
    power: float = 1.0  # 0: not at all; 1: each axis gets the same variance


WHITENED: Final = Mix(name="whitened", whole=1, power=PLAIN_POWER)
NEIGHBOURS: Final = Mix(name="neighbours", whole=0.4, neighbours=0.6, power=0.8)
GROUPS: Final = Mix(name="groups", whole=0.2, neighbours=0.4, groups=0.4)
"""Shares and powers were chosen on a shop that nothing shipped knows: docs/adaptation.md."""


@dataclass(frozen=True, kw_only=True)
class LookMap:
    """A linear map: `(look - mean) @ components.T`."""

    mean: FloatArray  # (features,)
    components: FloatArray  # (SIZE, features)

    def __call__(self, look: FloatArray) -> FloatArray:
        """Map (n, features) to (n, SIZE), of length 1."""
        return normalise((look - self.mean) @ self.components.T)


class LookFitter:
    """Fits maps to the looks of one shop; what several mixes need is computed once."""

    def __init__(self, look: FloatArray, groups: Codes) -> None:
        """Take the looks, (n, features), and the groups of variants that may be fitted on."""
        self._mean = look.mean(axis=0)
        self._centred = look - self._mean
        self._groups = groups
        self._whole = _covariance(self._centred)
        self._cache: dict[str, Doubles] = {}

    def fit(self, mix: Mix) -> LookMap:
        """Fit the map of a mix."""
        mixed = mix.whole * self._whole
        if mix.neighbours:
            mixed = mixed + mix.neighbours * self._scaled("neighbours")
        if mix.groups:
            mixed = mixed + mix.groups * self._scaled("groups")
        mixed[np.diag_indices_from(mixed)] += RIDGE * np.trace(mixed) / len(mixed)
        values, vectors = np.linalg.eigh(mixed)
        evened = vectors * np.maximum(values, values[-1] * 1e-9) ** (-mix.power / 2)
        _, principal = np.linalg.eigh(evened.T @ self._whole @ evened)
        components = (evened @ principal[:, ::-1][:, :SIZE]).T
        scale = 1 / np.sqrt((components @ self._whole * components).sum())
        return LookMap(mean=self._mean, components=(scale * components).astype(np.float32))

    def _scaled(self, which: str) -> Doubles:
        """Return a covariance of differences, with the trace of that of all products."""
        if which not in self._cache:
            found = self._of_groups() if which == "groups" else self._of_neighbours()
            self._cache[which] = found * (np.trace(self._whole) / max(np.trace(found), 1e-12))
        return self._cache[which]

    def _of_groups(self) -> Doubles:
        """Return the covariance within groups of several products."""
        members = np.flatnonzero(in_several(self._groups))
        codes = np.unique(self._groups[members], return_inverse=True)[1]
        counts = np.bincount(codes)
        sums = np.zeros((len(counts), self._centred.shape[1]))
        np.add.at(sums, codes, self._centred[members])
        differences = self._centred[members] - (sums / counts[:, None])[codes]
        return _covariance(differences * np.sqrt(counts / (counts - 1))[codes][:, None])

    def _of_neighbours(self) -> Doubles:
        """Return the covariance of the differences between mutual nearest neighbours."""
        drawn = np.random.RandomState(0).permutation(len(self._centred))[:NEIGHBOURS_OF]
        looks = self._centred[np.sort(drawn)]
        mapped = self.fit(WHITENED)(looks + self._mean)
        nearest = np.concatenate([_nearest(mapped, at) for at in range(0, len(mapped), BLOCK)])
        mutual = np.flatnonzero(nearest[nearest] == np.arange(len(nearest)))
        return _covariance((looks[mutual] - looks[nearest[mutual]]) / np.sqrt(2))


def in_several(groups: Codes) -> npt.NDArray[np.bool_]:
    """Tell which products are in a group of several."""
    counts = np.bincount(groups[groups >= 0], minlength=1)
    return (groups >= 0) & (counts[np.maximum(groups, 0)] > 1)


def _nearest(mapped: FloatArray, start: int) -> Codes:
    similarities = mapped[start : start + BLOCK] @ mapped.T
    rows = np.arange(len(similarities))
    similarities[rows, start + rows] = -2
    nearest: Codes = similarities.argmax(axis=1)
    return nearest


def _covariance(centred: npt.NDArray[np.floating]) -> Doubles:
    return np.asarray(centred.T @ centred / max(1, len(centred)), np.float64)
