"""Which products are shown: a sample that every category has its part in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from backend.lab.evaluation.products import COLUMNS, Labels, Pictured

FEWEST_VALUES = 2
MOST_VALUES = 500  # an attribute of more values is a name, not a category


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Products and their vectors, in one order."""

    products: Sequence[Pictured]
    vectors: npt.NDArray[np.float32]  # (products, size), L2-normalised
    fields: Sequence[str]  # by which they can be told apart, the first one best


def stratify(labels: Labels, count: int, *, seed: int) -> npt.NDArray[np.intp]:
    """Draw up to `count` positions, in order: each category has its share, rounded up.

    Where that is too many, the largest categories give way; where there is nothing to drop, all
    positions come. Those without a category count as one.
    """
    total = len(labels.codes)
    if total <= count:
        return np.arange(total)
    dice = np.random.default_rng(seed)
    strata = [np.flatnonzero(labels.codes == code) for code in np.unique(labels.codes)]
    shares = np.array([-(-len(stratum) * count // total) for stratum in strata])
    while (surplus := shares.sum() - count) > 0:
        largest = np.argsort(-shares, kind="stable")[:surplus]
        shares[largest] -= 1
    drawn = [
        dice.choice(stratum, share, replace=False)
        for stratum, share in zip(strata, shares, strict=True)
    ]
    return np.sort(np.concatenate(drawn))


def telling_fields(products: Sequence[Pictured], *, first: str) -> list[str]:
    """Return the fields that tell these products apart, `first` leading if it does."""
    attributes = sorted({f"attributes.{key}" for each in products for key in each.attributes})
    fields = [first, *(name for name in (*COLUMNS, *attributes) if name != first)]
    return [name for name in dict.fromkeys(fields) if _tells(products, name)]


def _tells(products: Sequence[Pictured], field: str) -> bool:
    values = {product.value(field) for product in products} - {None}
    return FEWEST_VALUES <= len(values) <= min(MOST_VALUES, max(FEWEST_VALUES, len(products) // 2))
