"""What a query for similar products asks for, and its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Final

from backend.database.models import Generation
from backend.filters import Schema, Where
from backend.filters.matching import columns_of
from backend.images.box import Box
from backend.merchandising.rule_set import RuleSet
from backend.search.boosting import Boost, columns_of_boosts
from backend.search.candidate_rows import CATEGORIES, CandidateColumns
from backend.search.found import Neighbour
from backend.search.paging import Position
from backend.search.recall_monitor import Search
from backend.search.ruling import Ruling
from backend.search.shaping import Shaping

MAX_LIMIT: Final = 100

MOST_COLUMNS: Final = 256
"""Combinations of options for which it is kept what candidates are chosen by."""


@dataclass(frozen=True, kw_only=True)
class PlacementUsed:
    """The placement whose defaults a query has."""

    name: str
    version: int
    settings: str = field(default="", repr=False)
    """As JSON. A placement that was removed and made anew has its first version again."""

    def shown(self) -> dict[str, Any]:
        """Return what an answer says of it."""
        return {"name": self.name, "version": self.version}


@dataclass(frozen=True, kw_only=True)
class Query:
    """The options of a query for a product or an image. `exclude` holds skus.

    `schema` is what `where` was checked with. `image` is the number of the product's image that
    is compared, from 1; None: as the first, and if that has no vector, the first that has one.
    `shows_images` tells whether the answer needs the images of its products. `colour`, from 0 to 1,
    is how much colour counts (`search.colour_weight`), `explain` asks for the parts of each score.
    `text` is compared too, or alone; beside an image it counts `text_weight`, from 0 to 1. `box` is
    the region of a given image that is compared. `min_match` is the least match, from 0 to 1, and
    `after` where a further page begins. `generation_id` is the live generation that a product is
    searched in; None: the active one.
    """

    limit: int = 10
    where: Where = field(default_factory=dict)
    schema: Schema = field(default_factory=dict)
    exclude: Sequence[str] = ()
    min_score: float | None = None
    image: int | None = None
    shows_images: bool = True
    colour: float | None = None
    explain: bool = False
    text: str | None = None
    text_weight: float = 0.5
    shaping: Shaping = field(default_factory=Shaping)
    placement: PlacementUsed | None = None
    after: Position | None = None
    rules: RuleSet | None = None
    ruling: Ruling = field(default_factory=Ruling)
    box: Box | None = None
    min_match: float | None = None
    generation_id: int | None = None

    @cached_property
    def needs_vectors(self) -> bool:
        """Whether the vectors of the products are needed."""
        return bool(self.shaping.diversity or self.explain)

    @cached_property
    def chosen_by(self) -> CandidateColumns | None:
        """What candidates are chosen by, where they are many more than are shown."""
        shaping = self.shaping
        if not (shaping.reorders or shaping.group_by):
            return None
        others = CATEGORIES if self.explain else ()
        if shaping.group_by:
            others = (*others, shaping.group_by)
        return _candidate_columns(
            tuple(self.where),
            tuple(shaping.boost),
            self.ruling.columns,
            others,
            digests=bool(shaping.diversity),
        )

    @cached_property
    def needs_product(self) -> bool:
        """Whether the fields of the query product are needed, beside its vector."""
        return bool(self.shaping.restrict or self.explain)

    @cached_property
    def options(self) -> str:
        """What decides which products the list has, as text, without what the list is about."""
        chooses = (
            sorted(self.where.items()),
            sorted(self.exclude),
            self.min_score,
            self.min_match,
            self.image,
            self.box,
            self.colour,
            self.text,
            self.text_weight if self.text else None,
            self.shaping,
        )
        return repr(chooses)


@lru_cache(maxsize=MOST_COLUMNS)
def _candidate_columns(
    fields: Sequence[str],
    boosts: Sequence[Boost],
    ruled: frozenset[str],
    others: Sequence[str],
    *,
    digests: bool,
) -> CandidateColumns:
    """Return what candidates are chosen by; `fields` are those of a filter."""
    columns = {*columns_of(fields), *columns_of_boosts(boosts), *ruled, *others}
    return CandidateColumns(frozenset(columns), digests=digests)


@dataclass(slots=True, kw_only=True)
class Answer:
    """Neighbours, best first, and the one generation that they come from.

    It belongs to one request. Not frozen, which takes three times as long to make.

    `position` is where the next page begins, None if nothing can follow.
    """

    items: list[Neighbour]
    generation: Generation
    meta: dict[str, Any]
    search: Search
    has_more: bool = False
    position: Position | None = None
