"""A sample of products, stratified by category."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from backend.lab.evaluation.labels import COLUMNS, CatalogueProduct, Labels

FEWEST_VALUES = 2
MOST_VALUES = 500  # an attribute with more values is no category


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Products and their vectors, in one order."""

    products: Sequence[CatalogueProduct]
    vectors: npt.NDArray[np.float32]  # (products, size), L2-normalised
    fields: Sequence[str]  # that distinguish the products; the first one is the default colour


def stratify(labels: Labels, count: int, *, seed: int) -> npt.NDArray[np.intp]:
    """Draw up to `count` positions, in order: each category has its share, rounded up.

    Where the shares exceed `count`, the largest categories get fewer. Where there are not more than
    `count` positions, all are returned. Products without a category count as a category.
    """
    total = len(labels.codes)
    if total <= count:
        return np.arange(total)
    rng = np.random.default_rng(seed)
    strata = [np.flatnonzero(labels.codes == code) for code in np.unique(labels.codes)]
    shares = np.array([-(-len(stratum) * count // total) for stratum in strata])
    while (surplus := shares.sum() - count) > 0:
        largest = np.argsort(-shares, kind="stable")[:surplus]
        shares[largest] -= 1
    drawn = [
        rng.choice(stratum, share, replace=False)
        for stratum, share in zip(strata, shares, strict=True)
    ]
    return np.sort(np.concatenate(drawn))


def distinguishing_fields(products: Sequence[CatalogueProduct], *, first: str) -> list[str]:
    """Return the fields that distinguish these products; `first` comes first if it does."""
    attributes = sorted({f"attributes.{key}" for each in products for key in each.attributes})
    fields = [first, *(name for name in (*COLUMNS, *attributes) if name != first)]
    return [name for name in dict.fromkeys(fields) if _distinguishes(products, name)]


def _distinguishes(products: Sequence[CatalogueProduct], field: str) -> bool:
    values = {product.value(field) for product in products} - {None}
    return FEWEST_VALUES <= len(values) <= min(MOST_VALUES, max(FEWEST_VALUES, len(products) // 2))
