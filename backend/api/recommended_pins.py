"""The products that rules pin to positions of a list of recommended products."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from backend.api.context import services
from backend.api.recommended_candidates import (
    CandidateReader,
    ListItem,
    shown_before,
    taken_groups,
)
from backend.api.splitting import ShopperSplit
from backend.events.answers import ListName
from backend.filters.matching import ValueOf, matcher
from backend.merchandising.rule_set import Rule
from backend.recommendations.listed_products import ListedProduct, Reason
from backend.recommendations.lists import List
from backend.search.found import Neighbour
from backend.search.grouping import with_sizes
from backend.search.pinning import Candidates, Pinning
from backend.search.query import Query

_REASONS: Final = {
    ListName.TRENDING: Reason.TRENDING,
    ListName.NEW: Reason.NEW,
    ListName.TOGETHER: Reason.TOGETHER,
}
"""The reason of a pinned product that is no candidate of a list; else POPULAR. Clients know these
reasons: a new one would break those that were generated before."""


MOST_LOOKED_AT: Final = 1_000
"""Candidates among which a rule with a filter finds the product that it pins."""


@dataclass(frozen=True)
class ListRequest:
    """Which list an answer is, and for whom; `asked` and `about` are what its cursors hold for.

    `unpinnable` are products that no rule can pin: those that the list leaves out.
    """

    name: ListName
    asked: Query
    user: str | None = None
    visit: str | None = None
    about: tuple[object, ...] = ()
    split: ShopperSplit = field(default_factory=ShopperSplit)
    unpinnable: frozenset[int] = frozenset()


def find_pins(candidates: CandidateReader, made: List, listed: ListRequest) -> dict[int, ListItem]:
    """Return the pinned products of a list, by their positions."""
    query, generation = candidates.query, candidates.generation
    if not query.ruling.pins:
        return {}
    passes = matcher(query.where, query.schema) if query.where else None

    def is_wanted(value_of: ValueOf) -> bool:
        return passes is None or passes(value_of)

    def find(rule: Rule, pinning: Pinning) -> Neighbour | None:
        passing = candidates.read(made.candidates())
        items = (one.item for one in islice(passing, MOST_LOOKED_AT))
        return next((it for it in items if rule.matches(it.value_of) and pinning.takes(it)), None)

    index, before = services().indexes.of(generation), shown_before(query)
    pinning = Pinning(
        ruling=query.ruling,
        candidates=Candidates(candidates.reader, index, generation, images=query.shows_images),
        weighed=None,
        passes=is_wanted,
        keeps=candidates.keep,
        excluded={*listed.unpinnable, *before},
        limit=query.limit,
        offset=len(before),
        group_by=query.shaping.group_by,
        groups=list(taken_groups(candidates.reader, query)),
        find=find,
    )
    pins = pinning.run()
    items = list(pins.values())
    if group_by := query.shaping.group_by:
        several = bool(generation.most_images)
        items = with_sizes(index, items, group_by, query.where, several=several)
    return dict(zip(pins, _as_listed(items, made, listed), strict=True))


def _as_listed(items: Sequence[Neighbour], made: List, listed: ListRequest) -> Iterator[ListItem]:
    """Yield pinned products as what the list has chosen, or with a reason of their own."""
    chosen = {it.product_id: it for it in made.chosen}
    reason = _REASONS.get(listed.name, Reason.POPULAR)
    for item in items:
        product = item.product.id
        yield ListItem(chosen.get(product) or ListedProduct(product, 0.0, reason), item)
