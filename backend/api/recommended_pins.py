"""The products that rules pin to positions of a list of recommended products."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from backend.api.context import services
from backend.api.recommended_candidates import ListItem, read_passing, shown_before, taken_groups
from backend.api.splitting import ShopperSplit
from backend.database.models import Generation
from backend.database.reader import Reader
from backend.events.answers import ListName
from backend.filters.matching import ValueOf, matcher
from backend.merchandising.rule_set import Rule
from backend.recommendations.listed_products import ListedProduct, Reason
from backend.recommendations.recommend import List
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


def find_pins(
    reader: Reader,
    generation: Generation,
    made: List,
    query: Query,
    listed: ListRequest,
    keep: Callable[[Neighbour], bool] | None,
) -> dict[int, ListItem]:
    """Return the pinned products of a list, by their positions."""
    if not query.ruling.pins:
        return {}
    passes = matcher(query.where, query.schema) if query.where else None

    def is_wanted(value_of: ValueOf) -> bool:
        return passes is None or passes(value_of)

    def find(rule: Rule, pinning: Pinning) -> Neighbour | None:
        passing = read_passing(reader, generation, made.candidates(), query, keep)
        items = (one.item for one in islice(passing, MOST_LOOKED_AT))
        return next((it for it in items if rule.matches(it.value_of) and pinning.takes(it)), None)

    index = services().indexes.of(generation)
    pinning = Pinning(
        ruling=query.ruling,
        candidates=Candidates(reader, index, generation, images=query.shows_images),
        weighed=None,
        passes=is_wanted,
        keeps=keep,
        excluded={*listed.unpinnable, *shown_before(query)},
        limit=query.limit,
        offset=len(shown_before(query)),
        group_by=query.shaping.group_by,
        groups=list(taken_groups(reader, query)),
        find=find,
    )
    pins = pinning.run()
    chosen = {it.product_id: it for it in made.chosen}
    reason = _REASONS.get(listed.name, Reason.POPULAR)
    items = list(pins.values())
    if query.shaping.group_by:
        several = bool(generation.most_images)
        items = with_sizes(index, items, query.shaping.group_by, query.where, several=several)
    return {
        position: ListItem(
            chosen.get(it.product.id) or ListedProduct(it.product.id, 0.0, reason), it
        )
        for position, it in zip(pins, items, strict=True)
    }
