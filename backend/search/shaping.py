"""What a list shall be like beyond similarity: how it is grouped, and what it is restricted to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

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


@dataclass(frozen=True, kw_only=True)
class Shaping:
    """The options of one list. `group_by` and `restrict` name columns of products, of FIELDS.

    Of the products with one value of `group_by` only the best one is shown; a product without a
    value is a group of its own. In the fields of `restrict`, each product has the value of the
    query product.
    """

    group_by: str | None = None
    restrict: Sequence[str] = ()
