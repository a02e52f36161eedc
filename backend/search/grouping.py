"""How many products a group has that is shown by its best one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any, Final
from weakref import WeakKeyDictionary

from backend.errors import IndexLimited
from backend.filters import Condition, Where
from backend.search.found import Neighbour
from backend.vectors import VectorIndex

LARGE: Final = 200
"""A group of more products is not counted again for SECONDS: counting reads each of them."""

SECONDS: Final = 30.0
MOST_KEPT: Final = 10_000

_LARGE: WeakKeyDictionary[VectorIndex, dict[Any, tuple[int, float]]] = WeakKeyDictionary()
"""The sizes of large groups, of each index, and until when they are kept."""

_SMALL: WeakKeyDictionary[VectorIndex, tuple[object, dict[Any, int]]] = WeakKeyDictionary()
"""The sizes of the others, as they are until the next write, and the index's version then."""


def with_sizes(
    index: VectorIndex, items: Sequence[Neighbour], field: str, where: Where, *, several: bool
) -> list[Neighbour]:
    """Give the items the number of indexed products of their groups that pass the filter.

    The query product and excluded ones count too. A product without a value has a group of 1. The
    sizes stay None where the store does not allow to count. `several` is as `VectorIndex.facet`
    takes it.
    """
    values = [value for item in items if (value := item.value_of(field)) is not None]
    try:
        sizes = count_groups(index, field, values, where, several=several)
    except IndexLimited:
        return list(items)
    for item in items:
        item.group_size = sizes.get(item.value_of(field), 1)
    return list(items)


def count_groups(
    index: VectorIndex,
    field: str,
    values: Sequence[str],
    where: Where,
    *,
    several: bool,
    least: int | None = None,
) -> dict[Any, int]:
    """Return how many indexed products have each of these values and pass the filter.

    Groups of more than `least`, by default LARGE, may have been counted SECONDS ago. A value that
    no product has may be left out. Raises IndexLimited.
    """
    shape = (field, several, least, repr(sorted(where.items(), key=itemgetter(0))))
    now, large, small = time.monotonic(), _LARGE.setdefault(index, {}), _small_of(index)
    known: dict[Any, int] = {}
    for value in values:
        size, end = large.get((shape, value), (0, 0.0))
        if now < end:
            known[value] = size
        elif (shape, value) in small:
            known[value] = small[shape, value]
    unknown = tuple(dict.fromkeys(value for value in values if value not in known))
    if not unknown:
        return known
    condition = replace(where.get(field, Condition()), any_of=unknown)
    found = dict(
        index.facet(field, limit=len(unknown), where={**where, field: condition}, several=several)
    )
    for each in (large, small):
        if len(each) > MOST_KEPT:
            each.clear()
    small.update({(shape, it): size for it, size in found.items()})
    most = LARGE if least is None else least
    large.update({(shape, it): (n, now + SECONDS) for it, n in found.items() if n > most})
    return {**known, **found}


def _small_of(index: VectorIndex) -> dict[Any, int]:
    """Return the sizes that were counted since the last write; kept only where that is known."""
    version = index.version
    if version is None:
        return {}
    found = _SMALL.get(index)
    if found is None or found[0] != version:
        found = _SMALL[index] = version, {}
    return found[1]
