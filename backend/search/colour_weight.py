"""How much colour counts in a query: the query weighs the blocks of its own vector.

A stored vector is the concatenation of its blocks, such as look and colour, each of a fixed length
n, with the squares of all n adding up to 1. So the cosine of two vectors is the weighted mean of
the cosines of their blocks, with the weights n². A query that makes its block as long as w / n
gives it the weight w instead, and the index stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from backend.embedders import Block
from backend.errors import NoColour
from backend.vectors import Vector

COLOUR: Final = "colour"
ROUNDING: Final = 1e-9  # of a score that is divided by the factor it was multiplied with
TINY: Final = 1e-12  # a block of a query may be all zeros, and stays so
WHOLE: Final = "whole"
"""The name of the only part of a vector without blocks."""

LARGEST_WEIGHT: Final = 0.5
"""The weight of colour where `colour` is 1, and it counts as much as all else. With more of it,
fewer of the neighbours have both the type and the colour of the query (docs/colour.md)."""


@dataclass(frozen=True, kw_only=True)
class WeightedQuery:
    """A query with weights. `asked` is the vector for the index, `blocks` the query's own parts.

    `factor` times the cosine of `asked` to a stored vector is the sum of weights times similarities
    of the blocks. So an identical image has the score 1, whatever the weights are.
    """

    asked: Vector
    factor: float
    weights: Mapping[str, float]  # of each block; their sum is 1
    parts: Mapping[str, tuple[Block, Vector]]  # of each block: the query's part, of length 1

    @property
    def colour(self) -> float | None:
        """How much colour counts, from 0 to 1 as in a request; None for vectors without colour."""
        weight = self.weights.get(COLOUR)
        return None if weight is None else weight / LARGEST_WEIGHT

    def score_of(self, cosine: float) -> float:
        """Return the score of a cosine to a stored vector, from -1 to 1."""
        return min(1.0, max(-1.0, cosine * self.factor))

    def cosine_of(self, score: float | None) -> float | None:
        """Return the least cosine of this score."""
        if score is None or self.factor == 1:
            return score
        return score / self.factor - ROUNDING

    def similarities(self, stored: Vector) -> dict[str, list[float]]:
        """Return the cosines of each block to those of stored vectors, (vectors, size)."""
        found = {}
        for name, (block, part) in self.parts.items():
            others = stored[:, block.start : block.stop]
            lengths = np.sqrt((others * others).sum(axis=1))  # as `np.linalg.norm`, which is slower
            found[name] = (others @ part / lengths).tolist()
        return found


def weigh(
    vector: Vector,
    blocks: Sequence[Block] | None,
    *,
    colour: float | None = None,
    lengths: Mapping[str, float] | None = None,
    parts: bool = True,
) -> WeightedQuery:
    """Give the block of colour half of `colour`, from 0 to 1, as its weight; the others the rest.

    The others share the rest as they do in the vector itself. None leaves the weights as they are.
    `lengths` are those of the blocks of stored vectors, by default the query's own. Without
    `parts`, a query that is not weighed has none, and cannot be explained. Raises NoColour where
    there is no block for colour, or `blocks` is None: they are not known.
    """
    if not blocks and not parts and colour is None and lengths is None:
        return WeightedQuery(asked=vector, factor=1.0, weights={WHOLE: 1.0}, parts={})
    found = blocks or (Block(WHOLE, 0, len(vector)),)
    if colour is not None and (len(found) < 2 or COLOUR not in {block.name for block in found}):
        raise NoColour(_reason(known=blocks is not None))
    own = _lengths(vector, found)
    fixed = lengths or own
    weights = _shares({name: own[name] * fixed[name] for name in own})
    if colour is not None:
        weights = _with_colour(weights, LARGEST_WEIGHT * colour)
    is_weighed = colour is not None or lengths is not None
    own_parts = {
        it.name: (it, vector[it.start : it.stop] / max(own[it.name], TINY))
        for it in (found if parts or is_weighed else ())
    }
    if not is_weighed:
        return WeightedQuery(asked=vector, factor=1.0, weights=weights, parts=own_parts)
    asked = np.zeros(len(vector), np.float32)
    for name, (block, part) in own_parts.items():
        asked[block.start : block.stop] = part * (weights[name] / fixed[name])
    return WeightedQuery(
        asked=asked, factor=float(np.linalg.norm(asked)), weights=weights, parts=own_parts
    )


def _lengths(vector: Vector, blocks: Sequence[Block]) -> dict[str, float]:
    found = {}
    for it in blocks:
        part = vector[it.start : it.stop]
        found[it.name] = float(np.sqrt(part.dot(part)))  # as `np.linalg.norm`, which takes longer
    return found


def _shares(amounts: Mapping[str, float]) -> dict[str, float]:
    total = sum(amounts.values())
    return {name: amount / total for name, amount in amounts.items()} if total else dict(amounts)


def _with_colour(own: Mapping[str, float], weight: float) -> dict[str, float]:
    others = _shares({name: amount for name, amount in own.items() if name != COLOUR})
    return {name: weight if name == COLOUR else (1 - weight) * others[name] for name in own}


def _reason(*, known: bool) -> str:
    if known:
        return (
            "the vectors of this index have no part for colour alone: re-index with an embedder "
            "that has one, such as efficientnet-lite0"
        )
    return (
        "whether the vectors of this index have a part for colour alone is not known yet: a worker "
        "of this release notes it at its start"
    )
