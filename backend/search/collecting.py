"""The neighbours of one query that pass its filter now, collected round by round.

Hits that do not pass any more are replaced by further ones.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from backend.filters import Condition, Where
from backend.search.nearest_products import MOST_TIMES
from backend.search.recall_monitor import Search
from backend.search.selection import Selection
from backend.vectors import Hit, SearchMode, VectorIndex
from backend.vectors.image_points import STRIDE, point_ids

SLACK: Final = 8
"""Neighbours requested beyond the limit: they replace hits that do not pass any more."""

REFILLS: Final = 3
"""How often more neighbours are requested when those do not suffice, each time GROWTH times as
many: only while the index lags behind a change of many products."""

GROWTH: Final = 4

GROUP_TIMES: Final = 4
"""How many times more neighbours are requested where products are grouped."""

GROUP_GROWTH: Final = 2
"""How many times more a further round of a grouped list asks for at most. Each round leaves out the
groups that are found, so two small ones mostly find more groups than a large one."""

MOST_AT_ONCE: Final = 1_000
"""Neighbours that one search of a grouped list is asked for, at most."""

FEW: Final = 16
"""Up to so many points are left out by asking for as many more. A filter of ids makes a search of
the graph a third slower."""

WALK_ROWS: Final = 2
"""Rows that are read at a time of a walk without the filter, for each product that is wanted."""

HIDING_REFILLS: Final = 8
"""The same where rules hide products, which may be most of the nearest."""


class Collecting:
    """The search of one query, round by round: `ask` and `take` by turns until `is_over`.

    What it finds is in `selection`. Where that is grouped, the search goes on until there are
    enough groups or the index has no more: each round leaves out the groups that are found, so it
    finds another one if there is one. `is_pool` tells that more are asked for than shown. `shown`
    are products of former pages: the first round asks for as many more instead of leaving them out
    by the index's filter, through which a search of the graph would miss others.

    With `walk`, so many of the nearest points are looked at first, whether they pass or not. If
    they fill the list, nothing else is asked, and `search.mode` is ACORN. If not, the search begins
    anew as without `walk`.
    """

    def __init__(
        self,
        search: Search,
        selection: Selection,
        *,
        min_score: float | None = None,
        is_pool: bool = False,
        shown: Collection[int] = (),
        walk: int = 0,
    ) -> None:
        self.search = search
        self.selection = selection
        self.min_score = min_score
        self.walk = walk
        self.walked: Collection[int] | None = None  # all products of the walk, in order
        self.is_over = False
        self.next_hits: Sequence[Hit] = ()  # what `take` looks at
        self._is_pool = is_pool
        self._shown = shown
        self._images = search.generation.most_images or 1
        self._left_out = len(search.exclude) * self._images  # points
        self._unwanted = frozenset(search.exclude).union(shown)
        self._seen: dict[int, None] = {}  # products, in the order in which they were found
        self._wanted = (selection.limit + SLACK) * (GROUP_TIMES if selection.group_by else 1)
        self._rounds = 0
        self._hits: list[Hit] = []  # of the last round
        self._looked_at = 0  # how many hits `next_hits` has held, those that it holds included
        self._missing_before = selection.limit  # before the last round
        self._is_exhausted = False  # the index has no further points
        self._has_rest = False  # some hits were not looked at

    @property
    def is_plain(self) -> bool:
        """Whether this is a first round that leaves nothing out by the index's filter."""
        is_first = not self._rounds and self._left_out <= FEW
        return is_first and not self.selection.groups and not self._seen

    @property
    def points(self) -> int:
        """How many points the first round asks for, where nothing is left out."""
        more = self._left_out if self._left_out <= FEW else 0
        times = min(self._images, MOST_TIMES)
        points = self._wanted * times + more
        is_bounded = self.selection.group_by or self._is_pool or self.selection.hiding
        points = min(points, MOST_AT_ONCE) if is_bounded else points
        return points if self._rounds else points + len(self._shown) * times

    @property
    def exclude(self) -> list[int]:
        """The points that this round leaves out by the index's filter."""
        left_out = () if self._left_out <= FEW and not self._rounds else self.search.exclude
        shown = self._shown if self._rounds else ()
        return point_ids([*left_out, *shown, *self._seen], self._images)

    def ask(self, index: VectorIndex) -> None:
        """Search once more."""
        if self.walk and self.walked is None:
            self._begin_walk(index)
            return
        if self.walked is not None and not self._rounds:
            self.selection.clear()  # the walk has found too little
        if self._rounds:
            self._grow()
        asked, is_plain = self.points, self.is_plain
        where = self.search.where if is_plain else self.where
        hits = index.nearest(
            self.search.vector,
            limit=asked,
            where=where,
            exclude=() if is_plain else self.exclude,
            min_score=self.min_score,
            mode=self.search.mode if where is self.search.where else index.search_mode(where),
            payloads=False,
        )
        self.receive(hits, asked=asked)

    def _begin_walk(self, index: VectorIndex) -> None:
        """Take the nearest points without the filter; the rows tell which of them pass."""
        hits = index.nearest(
            self.search.vector,
            limit=self.walk,
            min_score=self.min_score,
            mode=SearchMode.PLAIN,
            payloads=False,
        )
        products, unwanted = [hit[0] % STRIDE for hit in hits], self._unwanted
        self.walked = dict.fromkeys(products).keys()
        self._hits = [it for it, id_ in zip(hits, products, strict=True) if id_ not in unwanted]
        self._go_further()

    @property
    def where(self) -> Where:
        """The filter of this round, which leaves out the groups that are taken.

        Further rounds leave out what rules hide by one field, too.
        """
        where, selection = self.search.where, self.selection
        if selection.group_by is not None and selection.groups:
            where = _leaving_out(where, selection.group_by, tuple(selection.groups))
        if selection.hiding and self._rounds:
            for field, values in selection.hiding.hidden_values.items():
                where = _leaving_out(where, field, values)
        return where

    def receive(self, hits: Sequence[Hit], *, asked: int) -> None:
        """Note what a search for so many points has found."""
        unwanted = self._unwanted
        wanted = [hit for hit in hits if hit[0] % STRIDE not in unwanted]
        self._seen.update(dict.fromkeys([hit[0] % STRIDE for hit in wanted]))
        self._hits = wanted
        self._looked_at = 0
        self._rounds += 1
        refills = HIDING_REFILLS if self.selection.hiding else REFILLS
        is_last = self._rounds > refills and self.selection.group_by is None
        self._is_exhausted = len(hits) < asked
        self.is_over = self._is_exhausted or is_last
        self._go_further()

    def _grow(self) -> None:
        """Ask for more next time: of groups, for twice as many as the last round's rate demands."""
        if self.selection.group_by is None:
            self._wanted *= GROWTH
            return
        missing = self.selection.missing
        new = self._missing_before - missing
        most = GROUP_GROWTH * self._wanted
        needed = most if new == 0 else 2 * missing * len(self._hits) // new + SLACK
        self._wanted, self._missing_before = min(most, needed), missing

    def _go_further(self) -> None:
        """Choose the next hits.

        At first they are one more than the list shows (of a grouped list SLACK more). Where some of
        these do not pass, as many follow as the missing ones need at that rate: mostly all pass,
        and a row takes as long to read as to write.
        """
        selection, start = self.selection, self._looked_at
        if self.walked is not None and not self._rounds:
            many = WALK_ROWS * (selection.limit + SLACK)  # how many pass is not known
        else:
            spare = SLACK if selection.group_by else 1
            many = (selection.limit + spare) * min(self._images, MOST_TIMES)
            if start:
                missing = selection.missing
                needed = (missing + SLACK) * start // max(1, selection.limit - missing)
                many = max(many, needed)
        self.next_hits = self._hits[start : start + many]
        self._looked_at += len(self.next_hits)

    def take(self, rows: Mapping[int, Any], *, images: bool) -> None:
        """Select from the next hits, by the rows of their products, and go on to those after."""
        has_rest = self.selection.add(self.next_hits, rows, images=images)
        if self.selection.missing:
            self._go_further()
            return
        self.next_hits = ()
        self.is_over, self._has_rest = True, has_rest or self._looked_at < len(self._hits)
        if not self._rounds:
            self.search = replace(self.search, mode=SearchMode.ACORN)

    @property
    def has_more(self) -> bool:
        """Whether further products may pass."""
        return self._has_rest or not self._is_exhausted

    @property
    def nearest(self) -> Collection[int] | None:
        """The nearest products without `exclude`, in order, if nothing else hides some of them."""
        is_all = self._rounds == 1 and not (self._shown or self.search.where)
        return self._seen.keys() if is_all else None

    def rows_of(self, rows: Mapping[int, Any]) -> Mapping[int, Any]:
        """Return one row of each product that was read; what is empty stands for a removed one."""
        if self.selection.chosen_by is not None:
            return rows
        return {id_: found[0] for id_, found in rows.items() if found}

    @property
    def lags(self) -> bool:
        """Whether fewer came than the index has."""
        return self.selection.missing > 0 and self.selection.passed < len(self._seen)


def _leaving_out(where: Where, field: str, values: tuple[Any, ...]) -> Where:
    condition = where.get(field, Condition())
    return {**where, field: replace(condition, none_of=(*condition.none_of, *values))}
