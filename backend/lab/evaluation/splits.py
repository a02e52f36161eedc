"""Which products are for training and which for evaluation, decided by digests.

A product or a category has a number from 0 to 1, a digest of its name and the seed. The number
depends on nothing else: when a catalogue grows, no product changes sides, and training and
evaluation agree without a list.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from backend.errors import NotEvaluable
from backend.lab.types import Mask, Positions


@dataclass(frozen=True, kw_only=True)
class Split:
    """Three masks over the products; each product is in exactly one of them."""

    training: Mask
    held_out: Mask  # new products of categories that training sees
    unseen: Mask  # all products of categories that training never sees


def split(
    skus: Sequence[str],
    categories: Sequence[str | None],
    *,
    held_out: float,
    unseen: Iterable[str] | float = (),
    seed: int = 0,
) -> Split:
    """Hold out a fraction of the products, and whole categories: by name, or a fraction of them.

    Raises NotEvaluable for a category that no product has.
    """
    hidden = unseen_categories(categories, unseen, seed=seed)
    is_unseen = np.array([category in hidden for category in categories], bool)
    is_held_out = (
        np.array([fraction_of(sku, seed=seed) < held_out for sku in skus], bool) & ~is_unseen
    )
    return Split(training=~(is_unseen | is_held_out), held_out=is_held_out, unseen=is_unseen)


def unseen_categories(
    categories: Sequence[str | None], unseen: Iterable[str] | float, *, seed: int = 0
) -> set[str]:
    """Return the categories that are not trained on. Raises NotEvaluable for an unknown one."""
    known = {category for category in categories if category is not None}
    if isinstance(unseen, float | int):
        return {category for category in known if fraction_of(category, seed=seed) < unseen}
    hidden = set(unseen)
    for name in sorted(hidden - known):
        close = get_close_matches(name, known) or sorted(known)[:5]
        raise NotEvaluable(f"no product is in the category {name!r}; there is {', '.join(close)}")
    return hidden


def fraction_of(name: str, *, seed: int = 0) -> float:
    """Return a number of [0, 1) that depends on the name and the seed alone."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48  # 48 bits: exact in a float


def draw(positions: Positions, count: int | None, *, seed: int = 0) -> Positions:
    """Draw the first `count` positions of a seeded permutation; None returns all, in order.

    The permutation is that of `numpy.random.RandomState`, which NumPy promises never to change.
    """
    if count is None:
        return positions
    return positions[np.random.RandomState(seed).permutation(len(positions))[:count]]


def cap(codes: Positions, most: int | None, *, seed: int = 0) -> Mask:
    """Keep at most `most` of each category, drawn by the seed, and nothing without one (-1)."""
    if most is None:
        return np.ones(len(codes), bool)
    order = np.random.RandomState(seed).permutation(len(codes))
    by_category = order[np.argsort(codes[order], kind="stable")]
    sorted_codes = codes[by_category]
    rank = np.arange(len(codes)) - np.searchsorted(sorted_codes, sorted_codes)
    kept = np.zeros(len(codes), bool)
    kept[by_category] = (rank < most) & (sorted_codes >= 0)
    return kept
