"""Which products a list of recommended products shows: pinned ones, those that pass, groups."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from backend.api.context import services
from backend.api.recommended_candidates import (
    CandidateReader,
    Keep,
    ListItem,
    shown_before,
    taken_groups,
)
from backend.api.recommended_pins import ListRequest, find_pins
from backend.database.models import Generation, utcnow
from backend.database.reader import Reader
from backend.recommendations.lists import List
from backend.search.found import Neighbour
from backend.search.grouping import with_sizes
from backend.search.pinning import with_pins
from backend.search.query import Query
from backend.search.reordering import pool_of, reordered
from backend.search.shaping import has_clause
from backend.search.stored_vectors import StoredVectors

Make: TypeAlias = Callable[[Query, Collection[int]], List]
"""Makes the list of a query, without the products that are shown already."""


class Selected(NamedTuple):
    """The products that a list shows, in order."""

    items: list[ListItem]
    made: List  # from which they were taken first
    dropped: list[str]  # the clauses of `relax` that were dropped to fill the list


def select_products(
    reader: Reader,
    generation: Generation,
    make: Make,
    query: Query,
    listed: ListRequest,
    keep: Keep | None,
) -> Selected:
    """Return the first products of a list that pass its filter now, with its pins."""
    made = make(query, shown_before(query))
    keep = _visible(query, _further(reader, query, keep))
    candidates = CandidateReader(reader, generation, query, keep)
    pins = find_pins(candidates, made, listed)
    items, dropped = _fill(candidates, make, made, list(pins.values()))
    return Selected(with_pins(pins, items, query.limit), made, dropped)


def _fill(
    candidates: CandidateReader, make: Make, made: List, pinned: Sequence[ListItem]
) -> tuple[list[ListItem], list[str]]:
    """Return the products beside pinned ones, and the clauses that were dropped to fill the list.

    A clause of `relax` is dropped while the list is too short.
    """
    query = candidates.query
    shown = _take_first(candidates, made, pinned)
    dropped: list[str] = []
    for clause in query.shaping.relax:
        before = [*pinned, *shown]
        if len(before) >= query.limit or not has_clause(candidates.query.where, None, clause):
            continue
        dropped.append(clause)
        candidates = candidates.without(clause)
        ids = {*shown_before(query), *(one.item.product.id for one in before)}
        made = make(candidates.query, ids)
        shown += _take_first(candidates, made, before, dropped=dropped)
    return shown, dropped


def _take_first(
    candidates: CandidateReader,
    made: List,
    before: Sequence[ListItem],
    *,
    dropped: Sequence[str] = (),
) -> list[ListItem]:
    """Return the products of a list that follow those shown before, the first of each group.

    For the order by boosts and diversity the place counts, since scores of different reasons cannot
    be compared: from 1 for the first candidate, falling evenly to 0.
    """
    query, generation = candidates.query, candidates.generation
    limit, pool = query.limit - len(before), pool_of(query.limit, query.shaping)
    most = pool if query.shaping.reorders else limit
    found = _first_of_groups(candidates.read(made.candidates()), query, before, most)
    index = services().indexes.of(generation)
    items = [one.item for one in found]
    for item in items:
        item.relaxed = tuple(dropped)
    items = query.ruling.weighed(items)
    places = [1 - at / pool for at in range(len(items))]
    ordered = reordered(
        StoredVectors(index), items, places, query.shaping, limit=limit, now=utcnow()
    )
    items = [item for _, item in ordered]
    if group_by := query.shaping.group_by:
        several = bool(generation.most_images)
        items = with_sizes(index, items, group_by, query.where, several=several)
    chosen = [found[at] for at, _ in ordered]
    return [ListItem(one.chosen, item) for one, item in zip(chosen, items, strict=True)]


def _first_of_groups(
    passing: Iterator[ListItem], query: Query, before: Sequence[ListItem], most: int
) -> list[ListItem]:
    """Return up to `most` candidates whose products and groups are not among those before."""
    groups = {_group_of(one, query) for one in before} - {None}
    shown = {one.item.product.id for one in before}
    found = []
    for one in passing:
        group = _group_of(one, query)
        if one.item.product.id not in shown and (group is None or group not in groups):
            groups.add(group)
            found.append(one)
        if len(found) >= most:
            break
    return found


def _group_of(one: ListItem, query: Query) -> Any:
    return one.item.value_of(query.shaping.group_by) if query.shaping.group_by else None


def _visible(query: Query, keep: Keep | None) -> Keep | None:
    """Return what tells whether a product is wanted, and no rule hides it."""
    if not query.ruling.hides_any:
        return keep
    return lambda item: (keep is None or keep(item)) and not query.ruling.hides(item)


def _further(reader: Reader, query: Query, keep: Keep | None) -> Keep | None:
    """Return what tells whether a product is wanted, and no former page has shown its group."""
    if query.after is None:
        return keep
    shown, groups, group_by = query.after.shown, taken_groups(reader, query), query.shaping.group_by

    def is_further(item: Neighbour) -> bool:
        if item.product.id in shown or (group_by and item.value_of(group_by) in groups):
            return False
        return keep is None or keep(item)

    return is_further
