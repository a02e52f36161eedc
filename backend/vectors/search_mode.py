"""How one query is searched, chosen by its filter.

A graph finds what passes a filter only while it can walk there. The engine adds links for each
value of an indexed field, so one clause keeps its neighbours together; what two clauses leave
has no links of its own, and the walk ends in islands. ACORN walks through what the filter drops,
at several times the cost, which hardly depends on how many pass, while that of comparing all of
them grows in step. Figures for each shape: `docs/filters.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from backend.filters import Schema, Where
from backend.filters.shape import clauses
from backend.vectors import SearchMode

NARROW: Final = 5000
"""Points up to which comparing all that pass is no slower than a walk (512 dimensions)."""

LARGEST_SHARE: Final = 0.25
"""Share of all points up to which comparing those that pass costs about what ACORN does, or less;
measured at 40,000 and 240,000 points, embedded and without quantization."""

MOST: Final = 60_000
"""Points beyond which no share is compared: that share of the largest index measured."""


def choose(
    where: Where | None,
    schema: Schema,
    *,
    has_graph: bool,
    estimate: Callable[[], int],
    points: Callable[[], int] | None = None,
) -> SearchMode:
    """Return how to search under a checked filter.

    `estimate` counts the points that pass, `points` all of them, both roughly; they are asked only
    where it matters. Without `points`, no more than NARROW are compared.
    """
    if not has_graph:
        return SearchMode.EXACT
    if _keeps_together(where, schema):
        return SearchMode.PLAIN
    passing = estimate()
    if passing <= NARROW or (points and passing <= min(LARGEST_SHARE * points(), MOST)):
        return SearchMode.EXACT
    return SearchMode.ACORN


def _keeps_together(where: Where | None, schema: Schema) -> bool:
    """Tell whether what passes is linked: everything, one clause on values, or all but some."""
    found = clauses(where)
    if len(found) > 1:
        return False
    return all(field in schema and kind != "range" for field, kind in found)
