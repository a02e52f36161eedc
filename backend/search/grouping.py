"""How many products a group has that is shown by its best one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from backend.errors import IndexLimited
from backend.filters import Condition, Where
from backend.search.found import Neighbour
from backend.vectors import VectorIndex


def with_sizes(
    index: VectorIndex, items: Sequence[Neighbour], field: str, where: Where, *, several: bool
) -> list[Neighbour]:
    """Return the items with the number of indexed products of their groups that pass the filter.

    The query product and excluded ones count too. A product without a value has a group of 1. The
    sizes stay None where the store does not allow to count. `several` is as `VectorIndex.facet`
    takes it.
    """
    values = [value for item in items if (value := item.value_of(field)) is not None]
    try:
        sizes = _count(index, field, values, where, several=several)
    except IndexLimited:
        return list(items)
    return [replace(item, group_size=sizes.get(item.value_of(field), 1)) for item in items]


def _count(
    index: VectorIndex, field: str, values: Sequence[str], where: Where, *, several: bool
) -> dict[Any, int]:
    if not values:
        return {}
    condition = replace(where.get(field, Condition()), any_of=tuple(values))
    found = index.facet(
        field, limit=len(values), where={**where, field: condition}, several=several
    )
    return dict(found)
