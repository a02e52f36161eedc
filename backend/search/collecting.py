"""The neighbours of one query that pass its filter now, collected round by round.

Hits that do not pass any more are replaced by further ones.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from operator import attrgetter
from typing import Any, Final, Protocol

from backend.database.reader import Reader
from backend.filters import Condition, Where
from backend.search.candidate_rows import CandidateColumns, candidate, with_rows
from backend.search.found import NO_ROWS, Neighbour, Rows, neighbours, read_rows
from backend.search.judging import ByValues
from backend.search.nearest_products import MOST_TIMES
from backend.search.recall_monitor import Search
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


class Hiding(Protocol):
    """What hides products: the rules of one list."""

    @property
    def hidden_values(self) -> Mapping[str, tuple[Any, ...]]:
        """What is hidden by the values of one field alone: {field: values}."""
        ...

    def hides(self, item: Neighbour) -> bool:
        """Tell whether a product is hidden."""
        ...

    def hiding_rules(self, rows: Sequence[Any]) -> Sequence[int | None]:
        """Return the rule that hides each product."""
        ...

    def note_hidden(self, product: int, rule: int) -> None:
        """Note that a product is left out."""
        ...


class Collecting:
    """What one query has found so far. `ask` and `take` by turns until `is_over`.

    With `group_by`, a column, the best product of each value is taken. Then the search goes on
    until there are enough groups or the index has no more: each round leaves out the values that
    are taken, so it finds another group if there is one. `taken` are values that are taken before.
    `is_pool` tells that more are asked for than shown. `shown` are products of former pages: the
    first round asks for as many more instead of leaving them out by the index's filter, through
    which a search of the graph would miss others. `hiding` are the rules that hide products.
    `chosen_by` is what is read of products to choose them by, None for all (`candidate_rows`).

    With `walk`, so many of the nearest points are looked at first, whether they pass or not. If
    they fill the list, nothing else is asked, and `search.mode` is ACORN. If not, the search begins
    anew as without `walk`.
    """

    def __init__(
        self,
        search: Search,
        *,
        limit: int,
        min_score: float | None,
        passes: ByValues[bool] | None,
        group_by: str | None = None,
        taken: Collection[Any] = (),
        is_pool: bool = False,
        shown: Collection[int] = (),
        hiding: Hiding | None = None,
        chosen_by: CandidateColumns | None = None,
        walk: int = 0,
    ) -> None:
        self.search = search
        self.walk = walk
        self.walked: Collection[int] | None = None  # all products of the walk, in order
        self.chosen_by = chosen_by
        self.min_score = min_score
        self.is_over = False
        self._limit = limit
        self._is_pool = is_pool
        self.passes = passes
        self._hiding = hiding
        self._hidden: set[int] = set()  # products
        self._images = search.generation.most_images or 1
        self._items: dict[int, Neighbour] = {}
        self._seen: dict[int, None] = {}  # products, in the order in which they were found
        self._passed: set[int] = set()  # products
        self._group_by = group_by
        self._taken_groups = taken
        self._groups: dict[Any, None] = dict.fromkeys(taken)  # values of `group_by`
        self._wanted = (limit + SLACK) * (GROUP_TIMES if group_by else 1)
        self._rounds = 0
        self._hits: list[Hit] = []
        self._shown = shown
        self._unwanted = frozenset(search.exclude).union(shown)
        self._is_exhausted = False  # the index has no further points
        self._has_rest = False  # some hits were not looked at
        self._taken = 0  # hits of the last search
        self._before = 0  # items before it
        self._is_full = False

    @property
    def is_plain(self) -> bool:
        """Whether this is a first round that leaves nothing out by the index's filter."""
        is_first = not self._rounds and self._left_out <= FEW
        return is_first and not self._groups and not self._seen

    @property
    def points(self) -> int:
        """How many points the first round asks for, where nothing is left out."""
        more = self._left_out if self._left_out <= FEW else 0
        times = min(self._images, MOST_TIMES)
        points = self._wanted * times + more
        is_bounded = self._group_by or self._is_pool or self._hiding
        points = min(points, MOST_AT_ONCE) if is_bounded else points
        return points if self._rounds else points + len(self._shown) * times

    @property
    def _left_out(self) -> int:
        return len(self.search.exclude) * self._images

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
            self._begin_anew()
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
        self._hits = [hit for hit in hits if hit[0] % STRIDE not in self._unwanted]
        self.walked = dict.fromkeys([hit[0] % STRIDE for hit in hits]).keys()

    def _begin_anew(self) -> None:
        """Forget what the walk has found, which was too little."""
        for found in (self._items, self._passed, self._hidden):
            found.clear()
        self._groups = dict.fromkeys(self._taken_groups)

    def _end_if_full(self, *, has_rest: bool) -> bool:
        """Note whether the list is full, and return it."""
        if len(self._items) < self._limit:
            return False
        self.is_over, self._is_full, self._has_rest = True, True, has_rest
        if not self._rounds:
            self.search = replace(self.search, mode=SearchMode.ACORN)
        return True

    @property
    def where(self) -> Where:
        """The filter of this round, which leaves out the groups that are taken.

        Further rounds leave out what rules hide by one field, too.
        """
        where = self.search.where
        if self._group_by is not None and self._groups:
            where = _leaving_out(where, self._group_by, tuple(self._groups))
        if self._hiding and self._rounds:
            for field, values in self._hiding.hidden_values.items():
                where = _leaving_out(where, field, values)
        return where

    def receive(self, hits: Sequence[Hit], *, asked: int) -> None:
        """Note what a search for so many points has found."""
        unwanted = self._unwanted
        wanted = [hit for hit in hits if hit[0] % STRIDE not in unwanted]
        self._seen.update(dict.fromkeys([hit[0] % STRIDE for hit in wanted]))
        self._hits = wanted
        self._taken = 0
        self._rounds += 1
        refills = HIDING_REFILLS if self._hiding else REFILLS
        is_last = self._rounds > refills and self._group_by is None
        self._is_exhausted = len(hits) < asked
        self.is_over = self._is_exhausted or is_last

    def _grow(self) -> None:
        """Ask for more next time: of groups, for twice as many as the last round's rate demands."""
        if self._group_by is None:
            self._wanted *= GROWTH
            return
        new, missing = len(self._items) - self._before, self._limit - len(self._items)
        most = GROUP_GROWTH * self._wanted
        needed = most if new == 0 else 2 * missing * len(self._hits) // new + SLACK
        self._wanted, self._before = min(most, needed), len(self._items)

    @property
    def next_products(self) -> Collection[int]:
        """The products of the next hits, whose rows `take` needs; none where all were taken.

        At first they are one more than the list shows (of a grouped list SLACK more). Where some of
        these do not pass, as many follow as the missing ones need at that rate: mostly all pass,
        and a row takes as long to read as to write.
        """
        return {hit[0] % STRIDE for hit in self._next_hits}

    @property
    def has_next(self) -> bool:
        """Whether there are hits that `take` has not looked at, and needs."""
        return bool(self._next_hits)

    @property
    def _next_hits(self) -> Sequence[Hit]:
        if self._is_full:
            return ()
        if self.walked is not None and not self._rounds:
            many = WALK_ROWS * (self._limit + SLACK)  # how many pass is not known
            return self._hits[self._taken :][:many]
        spare = SLACK if self._group_by else 1
        many = (self._limit + spare) * min(self._images, MOST_TIMES)
        if self._taken:
            missing = self._limit - len(self._items) + SLACK
            many = max(many, missing * self._taken // max(1, len(self._items)))
        return self._hits[self._taken : self._taken + many]

    def take(self, rows: Mapping[int, Rows], *, images: bool) -> None:
        """Add those of the next hits that pass, by the rows of their products."""
        hits = self._next_hits
        self._taken += len(hits)
        if self.chosen_by is not None:
            self._take_candidates(hits, rows)
            return
        found = neighbours(hits, rows, images=images)
        for one in found:
            if self.passes and not self.passes(one.product):
                continue
            if self._hiding and self._hiding.hides(one):
                self._hidden.add(one.product.id)
            elif self._group_by:
                self._take(one, self._group_by)
            else:
                product = one.product.id
                self._passed.add(product)
                self._items.setdefault(product, one)
            if len(self._items) == self._limit:
                is_last = self._taken == len(self._hits)
                self._end_if_full(has_rest=not is_last or next(found, None) is not None)
                return

    def _take_candidates(self, hits: Sequence[Hit], rows: Mapping[int, Any]) -> None:
        """Do as `take`, with few calls of Python for each of many hits."""
        hits, there = with_rows(hits, rows)
        passes = self.passes.each(there) if self.passes else repeat(True)
        hiding: Iterable[int | None] = repeat(None)
        if self._hiding:
            hiding = self._hiding.hiding_rules(there)
        values: Iterable[Any] = repeat(None)
        if self._group_by:
            values = map(attrgetter(self._group_by), there)
        items, groups = self._items, self._groups
        for left, hit, row, passing, rule, group in zip(
            range(len(hits) - 1, -1, -1), hits, there, passes, hiding, values, strict=False
        ):
            if not passing:
                continue
            product = row.id
            if rule is not None and self._hiding:
                self._hiding.note_hidden(product, rule)
                self._hidden.add(product)
            else:
                self._passed.add(product)
                if product not in items and (group is None or group not in groups):
                    items[product] = candidate(hit, row)
                    if group is not None:
                        groups[group] = None
            if len(items) == self._limit:
                self._end_if_full(has_rest=left > 0 or self._taken < len(self._hits))
                return

    def _take(self, one: Neighbour, group_by: str) -> None:
        """Add a product by its nearest image, unless its group has a better one."""
        product = one.product.id
        self._passed.add(product)
        group = getattr(one.product, group_by)
        if product not in self._items and group not in self._groups:
            self._items[product] = one
            if group is not None:
                self._groups[group] = None

    @property
    def items(self) -> list[Neighbour]:
        """The neighbours, best first."""
        return list(self._items.values())

    @property
    def has_more(self) -> bool:
        """Whether further products may pass."""
        return self._has_rest or not self._is_exhausted

    @property
    def nearest(self) -> Collection[int] | None:
        """The nearest products without `exclude`, in order, if nothing else hides some of them."""
        is_all = self._rounds == 1 and not (self._shown or self.search.where)
        return self._seen.keys() if is_all else None

    def rows_of(self, rows: Mapping[int, Any]) -> dict[int, Any]:
        """Return one row of each product that was read, where candidates have rows of their own."""
        if self.chosen_by is None:
            return {id_: found[0] for id_, found in rows.items() if found}
        return {id_: row for id_, row in rows.items() if row}

    @property
    def lags(self) -> bool:
        """Whether fewer came than the index has."""
        passed = len(self._passed) + len(self._hidden)
        return len(self._items) < self._limit and passed < len(self._seen)


def collect(
    connection: Reader,
    index: VectorIndex,
    searches: Sequence[Collecting],
    rows: dict[int, Any],
    *,
    images: bool,
    digests: bool = False,
) -> None:
    """Run several searches by turns; `rows` are those of products that were read before.

    `digests` are as `read_rows` takes them. Searches that share rows have the same `chosen_by`,
    and rows are as that reads them: one of each product, or without it `Rows`.
    """
    under_way = list(searches)
    is_first = True
    while under_way:
        _ask(index, under_way, is_first=is_first)
        taking = under_way
        while taking:
            _take(connection, taking, rows, images=images, digests=digests)
            taking = [each for each in taking if each.has_next]
        under_way = [each for each in under_way if not each.is_over]
        is_first = False


def _take(
    connection: Reader,
    searches: Sequence[Collecting],
    rows: dict[int, Any],
    *,
    images: bool,
    digests: bool,
) -> None:
    """Take the next hits of each search, after their rows are read in one statement."""
    unread = set[int]().union(*[each.next_products for each in searches]) - rows.keys()
    generation, chosen_by = searches[0].search.generation, searches[0].chosen_by
    rows |= dict.fromkeys(unread, NO_ROWS)  # also of those that are removed
    if chosen_by is not None and unread:
        rows |= chosen_by.read(connection, generation, unread)
    elif unread:
        rows |= read_rows(connection, generation.id, unread, images=images, digests=digests)
    for each in searches:
        each.take(rows, images=images)


def _ask(index: VectorIndex, searches: Sequence[Collecting], *, is_first: bool) -> None:
    """Search once more: in one request at first, as long as none leaves out points of its own."""
    first = searches[0]
    if len(searches) == 1:
        first.ask(index)
        return
    wheres = [each.where for each in searches]
    differ = any(each.exclude or each.walk for each in searches)
    differ = differ or any(it != wheres[0] for it in wheres)
    if not is_first or differ:
        for each in searches:
            each.ask(index)
        return
    asked = max(each.points for each in searches)
    is_plain = wheres[0] is first.search.where
    found = index.nearest_each(
        [(each.search.vector, each.min_score) for each in searches],
        limit=asked,
        where=wheres[0],
        mode=first.search.mode if is_plain else index.search_mode(wheres[0]),
    )
    for each, hits in zip(searches, found, strict=True):
        each.receive(hits, asked=asked)


def _leaving_out(where: Where, field: str, values: tuple[Any, ...]) -> Where:
    condition = where.get(field, Condition())
    return {**where, field: replace(condition, none_of=(*condition.none_of, *values))}
