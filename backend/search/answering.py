"""From the vector of a query to its answer: pins, search, relaxing, what each item shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

from backend.database.models import Generation, utcnow
from backend.database.reader import Reader
from backend.search import statements
from backend.search.candidate_rows import CandidateColumns, complete
from backend.search.collecting import Collecting
from backend.search.collecting_rounds import collect
from backend.search.colour_weight import WeightedQuery
from backend.search.explaining import explain
from backend.search.found import Neighbour, read_rows
from backend.search.grouping import with_sizes
from backend.search.judging import row_matcher
from backend.search.matches import MatchCurve, last_curve
from backend.search.nearest_products import MOST_TIMES
from backend.search.pinning import Candidates, Pinning, nearest_that_passes, with_pins
from backend.search.query import Answer, Query
from backend.search.reasons import LOOKED_AT
from backend.search.recall_monitor import Search
from backend.search.reordering import pool_of, reordered
from backend.search.selection import Selection
from backend.search.shaping import MIN_MATCH, MIN_SCORE, has_clause
from backend.search.stored_vectors import StoredVectors
from backend.vectors import SearchMode, VectorIndex

WALK_TIMES: Final = 4
"""Points of a walk for each candidate: of drawn products in groups of three, nine lists in ten need
two that pass."""

COMPARED: Final = 10
"""A walk of 200 points costs less than to compare so many times as many: 6 at 20,000 points of 508
dimensions. One in four is in vain."""

Pins: TypeAlias = Mapping[int, Neighbour]
"""The pinned products of a list, by their positions."""


@dataclass(slots=True)
class ListSearch:
    """One list on its way from the vector of its query to its answer.

    Call `find_pins`, `begin`, run what it returns with `collect`, and `finish`. Not frozen, which
    takes three times as long to make.
    """

    connection: Reader
    index: VectorIndex
    generation: Generation
    weighed: WeightedQuery
    query: Query
    exclude: Sequence[int]  # ids of products
    taken: Sequence[Any] = ()  # the groups that former pages have shown
    pins: Pins = field(default_factory=dict)

    def read_taken_groups(self) -> None:
        """Read the groups that former pages have shown."""
        group_by, after = self.query.shaping.group_by, self.query.after
        if group_by is None or after is None:
            return
        rows = self.connection.rows(statements.values(), {"ids": sorted(after.shown)})
        values = (getattr(row, group_by) for row in rows)
        self.taken = list(dict.fromkeys(value for value in values if value is not None))

    def find_pins(self, candidates: Candidates) -> None:
        """Find the pinned products."""
        query = self.query
        if not query.ruling.pins:
            return
        shown = query.after.shown if query.after else ()
        passes = row_matcher(query.where, query.schema)
        pinning = Pinning(
            ruling=query.ruling,
            candidates=candidates,
            weighed=self.weighed,
            passes=passes.judge if passes else None,
            excluded={*self.exclude, *shown},
            limit=query.limit,
            offset=len(shown),
            group_by=query.shaping.group_by,
            groups=list(self.taken),
            find=nearest_that_passes(
                self.connection,
                self.index,
                candidates.generation,
                self.weighed,
                query.where,
                images=query.shows_images,
            ),
        )
        self.pins = pinning.run()

    def begin(
        self,
        mode: SearchMode,
        *,
        before: Sequence[Neighbour] = (),
        chosen_by: CandidateColumns | None = None,
        walk: int = 0,
    ) -> Collecting:
        """Return the search for what the list shows beside pinned products and those of `before`.

        `chosen_by` is as Selection takes it, `walk` as Collecting does.
        """
        query = self.query
        shown = [*self.pins.values(), *before]
        search = Search(
            generation=self.generation,
            vector=self.weighed.asked,
            where=query.where,
            exclude=(*self.exclude, *(item.product.id for item in shown)),
            mode=mode,
        )
        groups = [value for item in shown if (value := self._group_of(item)) is not None]
        selection = Selection(
            pool_of(self._places, query.shaping),
            row_matcher(query.where, query.schema),
            group_by=query.shaping.group_by,
            taken=[*self.taken, *groups],
            hiding=query.ruling if query.ruling.hides_any else None,
            chosen_by=chosen_by,
        )
        return Collecting(
            search,
            selection,
            min_score=self.weighed.cosine_of(self._least_score()),
            is_pool=query.shaping.reorders,
            shown=query.after.shown if query.after else (),
            walk=walk,
        )

    @property
    def walk(self) -> int:
        """How many of the nearest points are looked at before the list is searched by its filter.

        Most neighbours of a product pass the filter that it passes itself. So where a list with
        `restrict` has many candidates, they are mostly among those that its reasons need anyway.
        0: it is searched by the filter at once.
        """
        query = self.query
        if query.chosen_by is None or not query.shaping.restrict or query.min_score is not None:
            return 0
        if query.min_match is not None:
            return 0
        wanted = WALK_TIMES * pool_of(self._places, query.shaping)
        shown = len(query.after.shown) if query.after else 0
        left_out = len(self.exclude) + len(self.pins) + shown
        images = min(self.generation.most_images or 1, MOST_TIMES)
        points = (max(LOOKED_AT, wanted) + left_out) * images
        return points if self.index.compared(query.where) >= COMPARED * points else 0

    def finish(self, found: Collecting) -> Answer:
        """Return what was found as an answer, relaxed where too little passes, with its pins."""
        query, generation, limit = self.query, self.generation, self._places
        items = self._finish_items(found, [*self.pins.values()], limit=limit)
        meta: dict[str, Any] = {
            "embedder": generation.embedder,
            "fingerprint": generation.fingerprint,
            "search_mode": found.search.mode._value_,  # `value` takes two calls of Python
            "index_lags": found.lags and len(items) < limit,
            "colour": self.weighed.colour,
        }
        if query.min_match is not None:
            curve = self._curve
            meta["min_match_score"] = None if curve is None else curve.score_of(query.min_match)
        if query.placement:
            meta["placement"] = query.placement.shown()
        has_more = found.has_more or len(found.selection.items) > len(items)
        answer = Answer(
            items=items, generation=generation, meta=meta, search=found.search, has_more=has_more
        )
        if query.shaping.relax:
            self._relax(answer)
        if self.pins:
            self._insert_pins(answer)
        if query.explain:
            meta["rules"] = query.ruling.described(answer.items)
        return answer

    def _insert_pins(self, answer: Answer) -> None:
        items = with_pins(self.pins, answer.items, self.query.limit)
        answer.has_more |= len(items) < len(self.pins) + len(answer.items)
        answer.items = items

    def _relax(self, answer: Answer) -> None:
        """Add what passes without some clauses, while too few products pass."""
        items, relaxed = answer.items, self.query
        dropped: list[str] = []
        for clause in self.query.shaping.relax:
            missing = self._places - len(items)
            if missing <= 0:
                break
            if not has_clause(
                relaxed.where, relaxed.min_score, clause, min_match=relaxed.min_match
            ):
                continue
            dropped.append(clause)
            relaxed = _without(relaxed, clause, limit=missing)
            more, answer.has_more = self._find_more(
                relaxed, answer.search.exclude, before=[*self.pins.values(), *items]
            )
            items = [*items, *(replace(item, relaxed=tuple(dropped)) for item in more)]
        if len(items) == self._places:
            answer.has_more = True  # a further clause may be dropped
        answer.items = items
        answer.meta["relaxed"] = dropped

    def _find_more(
        self, query: Query, exclude: Sequence[int], *, before: Sequence[Neighbour]
    ) -> tuple[list[Neighbour], bool]:
        """Return what a relaxed query finds beside `before`, and whether there may be more."""
        relaxed = replace(self, query=query, exclude=exclude, pins={})
        mode = self.index.search_mode(query.where)
        found = relaxed.begin(mode, before=before, chosen_by=query.chosen_by)
        images, digests = query.shows_images, query.needs_vectors
        collect(self.connection, self.index, [found], {}, images=images, digests=digests)
        more = relaxed._finish_items(found, [], limit=query.limit)
        return more, found.has_more or len(found.selection.items) > len(more)

    def _finish_items(
        self, found: Collecting, pinned: list[Neighbour], *, limit: int
    ) -> list[Neighbour]:
        """Return what was found as the list shows it, best first, without pinned products.

        These and the pinned ones get their matches, and what is asked for: group sizes, reasons.
        """
        vectors = StoredVectors(self.index, self.connection, self.generation.fingerprint)
        items = self._choose(vectors, found, limit=limit)
        self._describe(vectors, [*pinned, *items])
        return items

    def _choose(self, vectors: StoredVectors, found: Collecting, *, limit: int) -> list[Neighbour]:
        """Return what was found in the order of the list, with all that it shows."""
        query, selection = self.query, found.selection
        items = selection.items
        if self.weighed.factor != 1:
            for item in items:
                item.score = self.weighed.score_of(item.score)
        items = query.ruling.weighed(items)
        if query.shaping.reorders:
            scores = [item.score for item in items]
            ordered = reordered(vectors, items, scores, query.shaping, limit=limit, now=utcnow())
            items = [item for _, item in ordered]
        else:
            items = items[:limit]
        if selection.chosen_by is None:
            return items
        images, ids = query.shows_images, [item.product.id for item in items]
        rows = read_rows(
            self.connection, self.generation.id, ids, images=images, digests=query.explain
        )
        whole = complete(items, rows, images=images)
        return [it for it in whole if selection.passes is None or selection.passes(it.product)]

    def _describe(self, vectors: StoredVectors, items: list[Neighbour]) -> None:
        if not items:
            return
        query = self.query
        if group_by := query.shaping.group_by:
            several = bool(self.generation.most_images)
            with_sizes(self.index, items, group_by, query.where, several=several)
        curve = self._curve
        if curve is not None:
            for item in items:
                item.match = curve.match_of(item.score)
        if query.explain:
            explain(vectors, self.weighed, items)

    @property
    def _places(self) -> int:
        """How many products are found beside the pinned ones; at least one."""
        return max(1, self.query.limit - len(self.pins))

    @property
    def _curve(self) -> MatchCurve | None:
        """The curve of `match`, where it holds: not for words and other weights of colour."""
        query = self.query
        kept = self.generation.match_curve if query.text is None and query.colour is None else None
        return last_curve.of(kept) if kept else None

    def _least_score(self) -> float | None:
        """Return the score that `min_score` and `min_match` demand together."""
        query = self.query
        curve = None if query.min_match is None else self._curve
        if curve is None or query.min_match is None:
            return query.min_score
        least = curve.score_of(query.min_match)
        return least if query.min_score is None else max(query.min_score, least)

    def _group_of(self, item: Neighbour) -> Any:
        group_by = self.query.shaping.group_by
        return item.value_of(group_by) if group_by else None


def _without(query: Query, clause: str, *, limit: int) -> Query:
    """Return the query for some more products, without one of its clauses."""
    if clause == MIN_SCORE:
        return replace(query, min_score=None, limit=limit)
    if clause == MIN_MATCH:
        return replace(query, min_match=None, limit=limit)
    where = {name: it for name, it in query.where.items() if name != clause}
    return replace(query, where=where, limit=limit)
