"""From the vector of a query to its answer: pins, search, relaxing, what each item shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias

from backend.database.models import Generation, utcnow
from backend.database.reader import Reader
from backend.search import statements
from backend.search.candidate_rows import CandidateColumns, complete
from backend.search.collecting import Collecting, collect
from backend.search.colour_weight import WeightedQuery
from backend.search.explaining import explain
from backend.search.found import Neighbour, read_rows
from backend.search.grouping import with_sizes
from backend.search.judging import row_matcher
from backend.search.matches import MatchCurve
from backend.search.nearest_products import MOST_TIMES
from backend.search.pinning import Candidates, Pinning, nearest_that_passes, with_pins
from backend.search.query import Answer, Query
from backend.search.reasons import LOOKED_AT
from backend.search.recall_monitor import Search
from backend.search.reordering import pool_of, reordered
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


def taken_groups(connection: Reader, query: Query) -> list[Any]:
    """Return the groups that former pages have shown."""
    group_by, after = query.shaping.group_by, query.after
    if group_by is None or after is None:
        return []
    rows = connection.rows(statements.values(), {"ids": sorted(after.shown)})
    values = (getattr(row, group_by) for row in rows)
    return list(dict.fromkeys(value for value in values if value is not None))


def find_pins(
    connection: Reader,
    index: VectorIndex,
    weighed: WeightedQuery,
    query: Query,
    exclude: Sequence[int],
    candidates: Candidates,
    *,
    taken: Sequence[Any] = (),
) -> Pins:
    """Return the pinned products of a list. `taken` are groups that former pages have shown."""
    if not query.ruling.pins:
        return {}
    pinning = Pinning(
        ruling=query.ruling,
        candidates=candidates,
        weighed=weighed,
        passes=passes.judge if (passes := row_matcher(query.where, query.schema)) else None,
        excluded={*exclude, *(query.after.shown if query.after else ())},
        limit=query.limit,
        offset=len(query.after.shown) if query.after else 0,
        group_by=query.shaping.group_by,
        groups=list(taken),
        find=nearest_that_passes(
            connection,
            index,
            candidates.generation,
            weighed,
            query.where,
            images=query.shows_images,
        ),
    )
    return pinning.run()


def begin_search(
    generation: Generation,
    weighed: WeightedQuery,
    query: Query,
    exclude: Sequence[int],
    mode: SearchMode,
    *,
    pins: Pins,
    before: Sequence[Neighbour] = (),
    taken: Sequence[Any] = (),
    chosen_by: CandidateColumns | None = None,
    walk: int = 0,
) -> Collecting:
    """Return the search for what a list shows beside pinned products and those found before.

    `chosen_by` and `walk` are as Collecting takes them.
    """
    shown = [*pins.values(), *before]
    search = Search(
        generation=generation,
        vector=weighed.asked,
        where=query.where,
        exclude=(*exclude, *(item.product.id for item in shown)),
        mode=mode,
    )
    passes = row_matcher(query.where, query.schema)
    least = weighed.cosine_of(_least_score(generation, query))
    groups = [value for item in shown if (value := _group_of(item, query)) is not None]
    return Collecting(
        search,
        limit=pool_of(_places(query, pins), query.shaping),
        min_score=least,
        passes=passes,
        group_by=query.shaping.group_by,
        taken=[*taken, *groups],
        is_pool=query.shaping.reorders,
        hiding=query.ruling if query.ruling.hides_any else None,
        shown=query.after.shown if query.after else (),
        chosen_by=chosen_by,
        walk=walk,
    )


def walk_of(
    index: VectorIndex,
    generation: Generation,
    query: Query,
    exclude: Sequence[int],
    pins: Pins,
) -> int:
    """Return how many of the nearest points a list looks at before it is searched by its filter.

    Most neighbours of a product pass the filter that it passes itself. So where a list with
    `restrict` has many candidates, they are mostly among those that its reasons need anyway. 0: it
    is searched by the filter at once.
    """
    if query.chosen_by is None or not query.shaping.restrict or query.min_score is not None:
        return 0
    if query.min_match is not None:
        return 0
    wanted = WALK_TIMES * pool_of(_places(query, pins), query.shaping)
    left_out = len(exclude) + len(pins) + (len(query.after.shown) if query.after else 0)
    points = (max(LOOKED_AT, wanted) + left_out) * min(generation.most_images or 1, MOST_TIMES)
    return points if index.compared(query.where) >= COMPARED * points else 0


def _curve(generation: Generation, query: Query) -> MatchCurve | None:
    """Return the curve of `match`, where it holds: not for words and other weights of colour."""
    kept = generation.match_curve if query.text is None and query.colour is None else None
    return _last_curve.of(kept) if kept else None


class _LastCurve:
    """The curve of the last query: mostly that of the next one, too. Threads may share it."""

    def __init__(self) -> None:
        self._read: tuple[Any, MatchCurve] | None = None

    def of(self, kept: Mapping[str, Any]) -> MatchCurve:
        read = self._read
        if read is None or read[0] is not kept:
            read = self._read = kept, MatchCurve.of(kept)
        return read[1]


_last_curve = _LastCurve()


def _least_score(generation: Generation, query: Query) -> float | None:
    """Return the score that `min_score` and `min_match` demand together."""
    curve = None if query.min_match is None else _curve(generation, query)
    if curve is None or query.min_match is None:
        return query.min_score
    least = curve.score_of(query.min_match)
    return least if query.min_score is None else max(query.min_score, least)


def _places(query: Query, pins: Pins) -> int:
    """Return how many products are found for a list beside the pinned ones; at least one."""
    return max(1, query.limit - len(pins))


def _relax(
    connection: Reader,
    index: VectorIndex,
    weighed: WeightedQuery,
    query: Query,
    answer: Answer,
    pins: Pins,
    *,
    taken: Sequence[Any] = (),
) -> Answer:
    """Add what passes without some clauses, while too few products pass.

    `taken` are groups that former pages have shown.
    """
    items, dropped, relaxed, has_more = answer.items, [], query, answer.has_more
    exclude = answer.search.exclude
    for clause in query.shaping.relax:
        missing = _places(query, pins) - len(items)
        if missing <= 0:
            break
        if not has_clause(relaxed.where, relaxed.min_score, clause, min_match=relaxed.min_match):
            continue
        dropped.append(clause)
        relaxed = _without(relaxed, clause, limit=missing)
        generation, mode = answer.generation, index.search_mode(relaxed.where)
        before = [*pins.values(), *items]
        found = begin_search(
            generation,
            weighed,
            relaxed,
            exclude,
            mode,
            pins={},
            before=before,
            taken=taken,
            chosen_by=relaxed.chosen_by,
        )
        images, digests = query.shows_images, query.needs_vectors
        collect(connection, index, [found], {}, images=images, digests=digests)
        kept = StoredVectors(index, connection, generation.fingerprint)
        more = _choose(connection, kept, weighed, found, relaxed, limit=missing)
        _finish(index, kept, weighed, more, relaxed, generation)
        items = [*items, *(replace(item, relaxed=tuple(dropped)) for item in more)]
        has_more = found.has_more or len(found.items) > len(more)
    if len(items) == _places(query, pins):
        has_more = True  # a further clause may be dropped
    meta = {**answer.meta, "relaxed": dropped}
    return replace(answer, items=items, meta=meta, has_more=has_more)


def _group_of(item: Neighbour, query: Query) -> Any:
    return item.value_of(query.shaping.group_by) if query.shaping.group_by else None


def _without(query: Query, clause: str, *, limit: int) -> Query:
    """Return the query for some more products, without one of its clauses."""
    if clause == MIN_SCORE:
        return replace(query, min_score=None, limit=limit)
    if clause == MIN_MATCH:
        return replace(query, min_match=None, limit=limit)
    where = {field: it for field, it in query.where.items() if field != clause}
    return replace(query, where=where, limit=limit)


def finish_answer(
    connection: Reader,
    index: VectorIndex,
    weighed: WeightedQuery,
    found: Collecting,
    query: Query,
    pins: Pins,
    *,
    taken: Sequence[Any] = (),
) -> Answer:
    """Return what was found as an answer, relaxed where too little passes, with its pins."""
    generation, limit = found.search.generation, _places(query, pins)
    vectors = StoredVectors(index, connection, generation.fingerprint)
    items = _choose(connection, vectors, weighed, found, query, limit=limit)
    _finish(index, vectors, weighed, [*pins.values(), *items], query, generation)
    meta: dict[str, Any] = {
        "embedder": generation.embedder,
        "fingerprint": generation.fingerprint,
        "search_mode": found.search.mode._value_,  # `value` takes two calls of Python
        "index_lags": found.lags and len(items) < limit,
        "colour": weighed.colour,
    }
    if query.min_match is not None:
        curve = _curve(generation, query)
        meta["min_match_score"] = None if curve is None else curve.score_of(query.min_match)
    if query.placement:
        meta["placement"] = query.placement.shown()
    has_more = found.has_more or len(found.items) > len(items)
    answer = Answer(
        items=items, generation=generation, meta=meta, search=found.search, has_more=has_more
    )
    if query.shaping.relax:
        answer = _relax(connection, index, weighed, query, answer, pins, taken=taken)
    if pins:
        items = with_pins(pins, answer.items, query.limit)
        has_more = answer.has_more or len(items) < len(pins) + len(answer.items)
        answer = replace(answer, items=items, has_more=has_more)
    if query.explain:
        answer.meta["rules"] = query.ruling.described(answer.items)
    return answer


def _choose(
    connection: Reader,
    vectors: StoredVectors,
    weighed: WeightedQuery,
    found: Collecting,
    query: Query,
    *,
    limit: int,
) -> list[Neighbour]:
    """Return what was found as the list shows it, best first, without pinned products."""
    items, generation = found.items, found.search.generation
    if weighed.factor != 1:
        for item in items:
            item.score = weighed.score_of(item.score)
    items = query.ruling.weighed(items)
    scores = [item.score for item in items]
    ordered = reordered(vectors, items, scores, query.shaping, limit=limit, now=utcnow())
    items = [item for _, item in ordered]
    if found.chosen_by is None:
        return items
    images, ids = query.shows_images, [item.product.id for item in items]
    rows = read_rows(connection, generation.id, ids, images=images, digests=query.explain)
    whole = complete(items, rows, images=images)
    return [it for it in whole if found.passes is None or found.passes(it.product)]


def _finish(
    index: VectorIndex,
    vectors: StoredVectors,
    weighed: WeightedQuery,
    items: list[Neighbour],
    query: Query,
    generation: Generation,
) -> None:
    """Give the items their matches, and what is asked for: group sizes, reasons."""
    if not items:
        return
    if group_by := query.shaping.group_by:
        with_sizes(index, items, group_by, query.where, several=bool(generation.most_images))
    curve = _curve(generation, query)
    if curve is not None:
        matches = curve.matches([item.score for item in items]).tolist()
        for item, match in zip(items, matches, strict=True):
            item.match = match
    if query.explain:
        explain(vectors, weighed, items)
