"""What a run learns from and what it is judged by, told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from backend.embedders import FloatArray
from backend.embedders.checkpoint import Half
from backend.embedders.pixels import normalise
from backend.errors import ConfigurationError
from backend.lab.evaluation.products import Labels, Pictured, label
from backend.lab.evaluation.splits import Split, split
from backend.lab.principal_axes import fit_principal_axes
from backend.lab.training.features import Rows
from backend.lab.training.objective import MISSING
from backend.lab.training.recipe import TuningRecipe

FEWEST: Final = 8
"""Products to train on: below, there is nothing to learn a projection from."""

REGULARIZER: Final = 1e-5  # of the variances that are evened out


@dataclass(frozen=True, kw_only=True)
class Whitening:
    """The starting features' main directions, at equal variance."""

    mean: Half  # (channels,)
    components: Half  # (size, channels)

    def project(self, features: npt.NDArray[np.floating]) -> FloatArray:
        """Project pooled features (n, channels) to (n, size) of length 1."""
        centred = normalise(features) - self.mean.astype(np.float32)
        return normalise(centred @ self.components.astype(np.float32).T)


@dataclass(frozen=True, kw_only=True)
class Material:
    """The products of a run by what they are for; rows are positions in the list of products."""

    training: Rows
    held_out: Rows
    unseen: Rows
    duplicates: int  # products not trained on for being too much like a judged one
    unusable: int  # products without a usable picture
    targets: npt.NDArray[np.int64]  # (products, aims), MISSING for none
    classes: Sequence[int]  # of each aim, that training has
    whitening: Whitening

    @property
    def judged(self) -> Rows:
        """The held-out products, then those of unseen categories: index and queries."""
        return np.concatenate([self.held_out, self.unseen])


def divide(products: Sequence[Pictured], recipe: TuningRecipe) -> tuple[Split, list[Labels]]:
    """Label the products and split them, as `lookalike evaluate` does with the same options."""
    labels = [label(products, aim.by) for aim in recipe.aims]
    first = recipe.aims[0].by
    parts = split(
        [product.sku for product in products],
        [product.value(first) for product in products],
        held_out=recipe.held_out,
        unseen=recipe.unseen,
        seed=recipe.seed,
    )
    return parts, labels


def prepare(
    parts: Split, labels: Sequence[Labels], starting: npt.NDArray[np.float16], recipe: TuningRecipe
) -> Material:
    """Settle what is trained on. Raises ConfigurationError where that is next to nothing."""
    usable = starting.any(axis=1)
    features = normalise(starting)
    judged = (parts.held_out | parts.unseen) & usable
    candidates = np.flatnonzero(parts.training & usable)
    twins = near_duplicates(features[candidates], features[judged], recipe.near_duplicate)
    training = candidates[~twins]
    if len(training) < FEWEST:
        raise ConfigurationError(f"there are only {len(training)} products to train on")
    coded = [_targets(one.codes, training) for one in labels]
    return Material(
        training=training,
        held_out=np.flatnonzero(parts.held_out & usable),
        unseen=np.flatnonzero(parts.unseen & usable),
        duplicates=int(twins.sum()),
        unusable=int((~usable).sum()),
        targets=np.stack([codes for codes, _ in coded], axis=1),
        classes=[count for _, count in coded],
        whitening=whiten(features[training], size=recipe.size),
    )


def near_duplicates(
    features: FloatArray, others: FloatArray, threshold: float
) -> npt.NDArray[np.bool_]:
    """Tell which rows have a cosine of at least `threshold` to one of the others."""
    found = np.zeros(len(features), bool)
    for start in range(0, len(features) if len(others) else 0, 2000):
        block = slice(start, start + 2000)
        found[block] = (features[block] @ others.T).max(axis=1) >= threshold
    return found


def whiten(features: FloatArray, *, size: int) -> Whitening:
    """Fit a whitening of features of length 1, to at most `size` and half as many as there are."""
    axes = fit_principal_axes(features)
    kept = min(size, len(features) // 2)
    scales = 1 / np.sqrt(axes.variances[:kept] + REGULARIZER)
    return Whitening(
        mean=axes.mean.astype(np.float16),
        components=(axes.directions[:kept] * scales[:, None]).astype(np.float16),
    )


def _targets(codes: npt.NDArray[np.int64], training: Rows) -> tuple[npt.NDArray[np.int64], int]:
    """Give the categories that training has numbers from 0; all others become MISSING."""
    there = np.unique(codes[training])
    there = there[there >= 0]
    places = np.searchsorted(there, codes).clip(max=max(len(there) - 1, 0))
    known = np.isin(codes, there)
    return np.where(known, places, MISSING), len(there)
