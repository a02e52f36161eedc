"""How one query is searched, chosen by its filter.

A search of the graph finds the points that pass a filter only if they are linked to each other. The
engine adds links for each value of an indexed field, so the points of one clause are linked. The
points that pass two clauses have no such links, and the search misses some. ACORN
(https://arxiv.org/abs/2403.04871) also visits points that do not pass. It costs several times as
much, however many points pass, while the cost of comparing all that pass grows with their number.
Figures for each shape of filter: `benchmarks/README.md`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from backend.filters import Schema, Where
from backend.filters.shape import clauses
from backend.vectors import SearchMode

NARROW: Final = 5000
"""Up to so many passing points, comparing all is no slower than the graph (512 dimensions)."""

CHEAP: Final = 36
"""Up to so many times the root of the number of points, comparing those that pass is cheaper than
three walks to the ten nearest that pass: one sees 20 / share points, and each costs as much as 20
that are compared (`backend.vectors.edge.post_filter`)."""


def choose(
    where: Where | None,
    schema: Schema,
    *,
    has_graph: bool = True,
    estimate: Callable[[], int] | None = None,
    points: Callable[[], int] | None = None,
) -> SearchMode:
    """Return how to search under a checked filter.

    `estimate` returns about how many points pass, `points` about how many there are; they are
    called only where it matters. Without `points`, no more than NARROW points are compared;
    without `estimate`, the engine decides whether to compare.
    """
    if not has_graph:
        return SearchMode.EXACT
    if not where or _are_linked(where, schema, several=estimate is None):
        return SearchMode.PLAIN
    if estimate is None:
        return SearchMode.ACORN
    passing = estimate()
    if passing <= NARROW or (points and passing <= CHEAP * math.sqrt(points())):
        return SearchMode.EXACT
    return SearchMode.ACORN


def _are_linked(where: Where | None, schema: Schema, *, several: bool) -> bool:
    """Tell whether the points that pass are linked: no clause, or one on indexed values.

    The points of each value are linked, but those of `several` less well with each other.
    """
    if len(where or ()) > 1:
        return False
    found = clauses(where)
    if len(found) > 1:
        return False
    return all(
        field in schema and kind != "range" and (several or len((where or {})[field].any_of) <= 1)
        for field, kind in found
    )
