"""What a list shall be like beyond similarity: groups, order, restrictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from backend.filters import Where
from backend.search.boosting import Boost

FIELDS: Final = (
    "gender",
    "master_category",
    "sub_category",
    "article_type",
    "base_colour",
    "season",
    "usage",
    "group_id",
    "brand",
)
"""The fields by which a list is grouped, or in which its products equal the query product."""


MIN_SCORE: Final = "min_score"
"""The clause of the lowest score, where clauses are named that may be dropped."""

MIN_MATCH: Final = "min_match"
"""That of the lowest match."""


@dataclass(frozen=True, kw_only=True)
class Shaping:
    """The options of one list. `group_by` and `restrict` name columns of products, of FIELDS.

    Of the products with one value of `group_by` only the best one is shown; a product without a
    value is a group of its own. In the fields of `restrict`, each product has the value of the
    query product. `diversity`, from 0 to 1, and `boost` put the list into another order
    (`search.reordering`). `relax` names clauses that may be dropped, in this order, while too few
    products pass: fields of the filter or of `restrict`, MIN_SCORE or MIN_MATCH. `ruled` tells that
    rules raise or lower products.
    """

    group_by: str | None = None
    restrict: Sequence[str] = ()
    diversity: float = 0.0
    boost: Sequence[Boost] = ()
    relax: Sequence[str] = ()
    ruled: bool = False

    @cached_property
    def reorders(self) -> bool:
        """Tell whether more neighbours are needed than are shown."""
        return bool(self.diversity or self.boost or self.ruled)


def has_clause(
    where: Where, min_score: float | None, clause: str, *, min_match: float | None = None
) -> bool:
    """Tell whether a query has a clause that may be dropped."""
    least = {MIN_SCORE: min_score, MIN_MATCH: min_match}
    return least[clause] is not None if clause in least else clause in where
