"""Fit the map of the look to the features of one shop: what tells its products apart counts more.

Covariances are mixed: of all products, of the differences between the variants of one product, of
the differences between mutual nearest neighbours, which need no labels, and, where rows are read,
of the differences between the variants of another shop, which ships. Directions in which variants
and neighbours differ tell least about a product, so they are scaled down. Directions that predict
the words of a product's name can be scaled up beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from backend.adaptation.name_words import Words, predicting_axes
from backend.embedders import FloatArray
from backend.embedders.block_statistics import ColourMap
from backend.embedders.kept_rows import OF_LOOK_WITH_ROWS
from backend.embedders.pixels import normalise
from backend.embedders.variant_axes import shipped_variants

Codes = npt.NDArray[np.intp]
"""(n,): the number of each product's group; -1 without one."""

Doubles = npt.NDArray[np.float64]

SIZE: Final = 320  # of the mapped look: with kind and colours, a vector has 512 dimensions
PLAIN_POWER: Final = 0.75
COLOUR_POWER: Final = 0.5  # how far the axes of colours are evened out
COLOUR_RIDGE: Final = 0.01  # of the mean variance, added to each of colours
RIDGE: Final = 1e-3  # of the mean variance, added to each: keeps rare directions from exploding
NEIGHBOURS_OF: Final = 8_000  # products among which mutual neighbours are sought
NEIGHBOURS_EACH: Final = 4  # of a product: two are mutual if each is among those of the other
READ_BY_WORDS: Final = 500  # axes that words are predicted from
BLOCK: Final = 1_000  # rows of similarities that are computed at once


@dataclass(frozen=True, kw_only=True)
class Mix:
    """How much of each covariance counts, and how far its axes are evened out."""

    name: str
    whole: float
    neighbours: float = 0.0
    groups: float = 0.0
    elsewhere: float = 0.0  # of another shop's variants; where no rows are read, of neighbours
    power: float = 1.0  # 0: not at all; 1: each axis gets the same variance
    words: float = 0.0  # length of what predicts the words of names, beside the rest


WHITENED: Final = Mix(name="whitened", whole=1, power=PLAIN_POWER)
NEIGHBOURS: Final = Mix(name="neighbours", whole=0.3, neighbours=0.4, elsewhere=0.3, power=0.9)
GROUPS: Final = Mix(name="groups", whole=0.1, neighbours=0.1, groups=0.6, elsewhere=0.2)
"""Shares and powers were chosen on a shop that nothing shipped knows: docs/adaptation.md."""


@dataclass(frozen=True, kw_only=True)
class LookMap:
    """A linear map: `(look - mean) @ components.T`."""

    mean: FloatArray  # (features,)
    components: FloatArray  # (SIZE, features)

    def __call__(self, look: FloatArray) -> FloatArray:
        """Map (n, features) to (n, SIZE), of length 1."""
        return normalise((look - self.mean) @ self.components.T)


def even_colours(colours: FloatArray) -> ColourMap:
    """Fit the map of colours (n, size) that evens out their axes in part."""
    mean = colours.mean(axis=0)
    variances, axes = np.linalg.eigh(_covariance(colours - mean))
    variances = np.maximum(variances, 0) + COLOUR_RIDGE * variances.mean()
    scaled = axes * (variances / variances[-1]) ** (-COLOUR_POWER / 2)
    components = scaled.T / np.abs(scaled).max()  # lengths do not matter
    return ColourMap(mean.astype(np.float32), components.astype(np.float16))


class LookFitter:
    """Fits maps to the looks of one shop; what several mixes need is computed once."""

    def __init__(self, look: FloatArray, groups: Codes, words: Sequence[Words] = ()) -> None:
        """Take the looks, (n, features), and what may be fitted on: groups of variants, and words.

        `words` has the words of each product's name; none: not to be read.
        """
        self._mean = look.mean(axis=0)
        self._centred = look - self._mean
        self._groups = groups
        self._words = words
        self._whole = _covariance(self._centred)
        self._cache: dict[str, Doubles] = {}

    def fit(self, mix: Mix) -> LookMap:
        """Fit the map of a mix."""
        mixed = mix.whole * self._whole
        elsewhere = "elsewhere" if self._whole.shape[0] == OF_LOOK_WITH_ROWS else "neighbours"
        shares = ("neighbours", mix.neighbours), ("groups", mix.groups), (elsewhere, mix.elsewhere)
        for which, share in shares:
            if share:
                mixed = mixed + share * self._scaled(which)
        mixed[np.diag_indices_from(mixed)] += RIDGE * np.trace(mixed) / len(mixed)
        values, vectors = np.linalg.eigh(mixed)
        evened = vectors * np.maximum(values, values[-1] * 1e-9) ** (-mix.power / 2)
        axes = self._principal(evened, READ_BY_WORDS if mix.words else SIZE)
        if mix.words:
            axes = self._principal(self._with_words(axes, mix.words), SIZE)
        scaled = axes.T / self._length(axes)
        return LookMap(mean=self._mean, components=scaled.astype(np.float32))

    def _principal(self, axes: Doubles, size: int) -> Doubles:
        """Turn axes (features, any) so that the first ones have most variance; return `size`."""
        _, turned = np.linalg.eigh(axes.T @ self._whole @ axes)
        principal: Doubles = axes @ turned[:, ::-1][:, :size]
        return principal

    def _with_words(self, axes: Doubles, weight: float) -> Doubles:
        """Put the axes that predict words beside the first ones, `weight` times as long."""
        read = [row for row, words in enumerate(self._words) if words]
        names = [self._words[row] for row in read]
        found = axes @ predicting_axes(self._centred[read] @ axes.astype(np.float32), names)
        first = axes[:, :SIZE]
        return np.hstack([first / self._length(first), weight * found / self._length(found)])

    def _length(self, axes: Doubles) -> float:
        """Return the length that mapped looks have, as the root of the mean square."""
        return float(np.sqrt((axes.T @ self._whole * axes.T).sum()))

    def _scaled(self, which: str) -> Doubles:
        """Return a covariance of differences, with the trace of that of all products."""
        if which not in self._cache:
            found = self._differences(which)
            self._cache[which] = found * (np.trace(self._whole) / max(np.trace(found), 1e-12))
        return self._cache[which]

    def _differences(self, which: str) -> Doubles:
        if which == "elsewhere":
            return shipped_variants().covariance
        return self.of_groups() if which == "groups" else self._of_neighbours()

    def of_groups(self) -> Doubles:
        """Return the covariance within groups of several products, (features, features).

        A group of n counts n times, and its squares are divided by n - 1, so that small groups do
        not seem to differ less.
        """
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
        one, other = _mutual(nearest)
        return _covariance((looks[one] - looks[other]) / np.sqrt(2))


def in_several(groups: Codes) -> npt.NDArray[np.bool_]:
    """Tell which products are in a group of several: (n,)."""
    counts = np.bincount(groups[groups >= 0], minlength=1)
    return (groups >= 0) & (counts[np.maximum(groups, 0)] > 1)


def _nearest(mapped: FloatArray, start: int) -> Codes:
    """Return the positions of the nearest products of a block: (rows, NEIGHBOURS_EACH)."""
    similarities = mapped[start : start + BLOCK] @ mapped.T
    rows = np.arange(len(similarities))
    similarities[rows, start + rows] = -2
    most = min(NEIGHBOURS_EACH, len(mapped) - 1)
    return np.asarray(np.argpartition(-similarities, most - 1, axis=1)[:, :most], np.intp)


def _mutual(nearest: Codes) -> tuple[Codes, Codes]:
    """Return the pairs of products each of which is among the nearest of the other, each once."""
    count, most = nearest.shape
    rows, columns = np.repeat(np.arange(count), most), nearest.ravel()
    is_mutual = np.isin(rows * count + columns, columns * count + rows) & (rows < columns)
    return rows[is_mutual], columns[is_mutual]


def _covariance(centred: npt.NDArray[np.floating]) -> Doubles:
    return np.asarray(centred.T @ centred / max(1, len(centred)), np.float64)
