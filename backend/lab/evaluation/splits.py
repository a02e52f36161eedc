"""Which products train, and which judge: told by digests, so that every program agrees.

A product's place, and a category's, is a number from a digest of its name and the seed. It depends
on nothing else: a catalogue that grows moves no product from one side to the other, and training
and evaluation need not hand each other a list.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from backend.errors import NotEvaluable

Mask: TypeAlias = npt.NDArray[np.bool_]
Positions: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Split:
    """Three masks over the products, disjoint and together all of them."""

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
    is_held_out = np.array([place(sku, seed=seed) < held_out for sku in skus], bool) & ~is_unseen
    return Split(training=~(is_unseen | is_held_out), held_out=is_held_out, unseen=is_unseen)


def unseen_categories(
    categories: Sequence[str | None], unseen: Iterable[str] | float, *, seed: int = 0
) -> set[str]:
    """Return the categories that are hidden from training."""
    there = {category for category in categories if category is not None}
    if isinstance(unseen, float | int):
        return {category for category in there if place(category, seed=seed) < unseen}
    hidden = set(unseen)
    for name in sorted(hidden - there):
        close = get_close_matches(name, there) or sorted(there)[:5]
        raise NotEvaluable(f"no product is in the category {name!r}; there is {', '.join(close)}")
    return hidden


def place(name: str, *, seed: int = 0) -> float:
    """Return a number from 0 to below 1 that only the name and the seed decide."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48  # 48 bits: exact in a float


def draw(positions: Positions, count: int | None, *, seed: int = 0) -> Positions:
    """Draw `count` of the positions, the first of a seeded permutation; None takes all, in order.

    The permutation is that of `numpy.random.RandomState`, which NumPy promises never to change.
    """
    if count is None:
        return positions
    return positions[np.random.RandomState(seed).permutation(len(positions))[:count]]


def cap(codes: npt.NDArray[np.int64], most: int | None, *, seed: int = 0) -> Mask:
    """Keep at most so many of each category, drawn by the seed; code -1 is no category and goes."""
    if most is None:
        return np.ones(len(codes), bool)
    order = np.random.RandomState(seed).permutation(len(codes))
    by_category = order[np.argsort(codes[order], kind="stable")]
    sorted_codes = codes[by_category]
    rank = np.arange(len(codes)) - np.searchsorted(sorted_codes, sorted_codes)
    kept = np.zeros(len(codes), bool)
    kept[by_category] = (rank < most) & (sorted_codes >= 0)
    return kept
