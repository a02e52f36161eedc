"""Which products a tuning run trains on and which ones validate it, with their labels as codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from backend.embedders import FloatArray
from backend.embedders.pixels import normalise
from backend.errors import ConfigurationError
from backend.lab.evaluation.labels import CatalogueProduct, Labels, label
from backend.lab.evaluation.splits import Split, split
from backend.lab.training.objective import MISSING
from backend.lab.training.tuning_recipe import TuningRecipe
from backend.lab.training.whitening import Whitening, fit_whitening
from backend.lab.types import Mask, Positions

FEWEST: Final = 8
"""Products to train on: with fewer, no projection can be fitted."""


@dataclass(frozen=True, kw_only=True)
class TuningData:
    """The split of a run's products; rows are positions in the list of all its products."""

    training: Positions
    held_out: Positions
    unseen: Positions
    duplicates: int  # products left out of training: too similar to a validation product
    unusable: int  # products without a usable image
    targets: Positions  # (products, aims), MISSING for none
    classes: Sequence[int]  # how many training has, for each aim
    whitening: Whitening

    @property
    def validation(self) -> Positions:
        """The held-out products, then those of unseen categories: both index and queries."""
        return np.concatenate([self.held_out, self.unseen])


def label_and_split(
    products: Sequence[CatalogueProduct], recipe: TuningRecipe
) -> tuple[Split, list[Labels]]:
    """Label and split the products, as `lookalike evaluate` does with the same options."""
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


def prepare_data(
    parts: Split, labels: Sequence[Labels], starting: npt.NDArray[np.float16], recipe: TuningRecipe
) -> TuningData:
    """Choose the products to train on and encode their labels.

    `starting` holds the starting network's features (products, channels); a row of zeros stands for
    an image that cannot be used. Raises ConfigurationError for fewer than FEWEST products.
    """
    usable = starting.any(axis=1)
    features = normalise(starting)
    validation = (parts.held_out | parts.unseen) & usable
    candidates = np.flatnonzero(parts.training & usable)
    duplicates = near_duplicates(features[candidates], features[validation], recipe.near_duplicate)
    training = candidates[~duplicates]
    if len(training) < FEWEST:
        raise ConfigurationError(
            f"there are only {len(training)} products to train on; {FEWEST} are needed"
        )
    coded = [_encode_targets(one.codes, training) for one in labels]
    return TuningData(
        training=training,
        held_out=np.flatnonzero(parts.held_out & usable),
        unseen=np.flatnonzero(parts.unseen & usable),
        duplicates=int(duplicates.sum()),
        unusable=int((~usable).sum()),
        targets=np.stack([codes for codes, _ in coded], axis=1),
        classes=[count for _, count in coded],
        whitening=fit_whitening(features[training], size=recipe.size),
    )


def near_duplicates(features: FloatArray, others: FloatArray, threshold: float) -> Mask:
    """Return, (n,), which features have a cosine of at least `threshold` to one of the others.

    `features` (n, channels) and `others` (m, channels) have length 1.
    """
    found = np.zeros(len(features), bool)
    for start in range(0, len(features) if len(others) else 0, 2000):
        block = slice(start, start + 2000)
        found[block] = (features[block] @ others.T).max(axis=1) >= threshold
    return found


def _encode_targets(codes: Positions, training: Positions) -> tuple[Positions, int]:
    """Map the categories of the training products to 0, 1, …, and all others to MISSING."""
    trained = np.unique(codes[training])
    trained = trained[trained >= 0]
    numbers = np.searchsorted(trained, codes).clip(max=max(len(trained) - 1, 0))
    known = np.isin(codes, trained)
    return np.where(known, numbers, MISSING), len(trained)
