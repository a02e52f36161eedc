"""Search under a filter by a walk without it: ask for more points, and keep those that pass.

The points that pass several clauses are poorly linked with each other, so a walk through them
misses neighbours. A walk through all points misses hardly any. If at least as many of its nearest
points pass as were asked for, these are the nearest that pass. If fewer do, as where the filter
passes what looks unlike the query, the walk says nothing, and the search is done in another way.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeAlias

import qdrant_edge as qe

from backend.vectors import SearchMode

LEAST: Final = 100
"""A walk considers so many points in any case (the engine's default for `hnsw_ef`)."""

COMPARED: Final = 20
"""A point of a walk costs as much as so many that are compared: 11 at 40,000 points, 15 to 30 at
240,000 (512 dimensions)."""

LARGEST_SHARE: Final = 0.25
"""Up to this share of all points, comparing those that pass costs no more than about ACORN's time.
Measured at 40,000 and 240,000 points, without quantization."""

MOST: Final = 60_000
"""More passing points are never compared: LARGEST_SHARE of the largest index measured."""

MOST_WALKED: Final = 2000
"""Points of the longest walk before ACORN, which costs about half as much and misses more."""


Points: TypeAlias = list[qe.ScoredPoint]


class EngineQuery(NamedTuple):
    """What is asked of the engine, apart from the filter."""

    query: Any
    limit: int
    score_threshold: float | None
    payloads: bool


def fallback(passing: int, points: int, *, quantized: bool) -> tuple[SearchMode, int]:
    """Return how to search where too few of the nearest pass, and the longest walk worth a try.

    That one costs half as much as comparing: all walks together cost less than that if they fail.
    With int8, a graph search reads small codes, but a comparison reads whole vectors.
    """
    if quantized or passing > min(LARGEST_SHARE * points, MOST):
        return SearchMode.ACORN, MOST_WALKED
    return SearchMode.EXACT, passing // COMPARED // 2


def walk_length(limit: int, share: float) -> int:
    """Return how long a walk is of which `limit` points pass, almost surely.

    If this share of all points passes, and by chance, the number of those that pass has a Poisson
    distribution: its mean is chosen three standard deviations above `limit`, so that fewer pass in
    one case of a hundred.
    """
    return max(LEAST, math.ceil((limit + 3 * math.sqrt(limit)) / share))


def post_filtered(
    ask: Callable[[qe.QueryRequest], Points],
    keep: Callable[[Points], Points],
    wanted: EngineQuery,
    *,
    share: float,
    most: int,
) -> Points | None:
    """Return the nearest points that pass, or None where a walk of `most` points is not enough.

    `ask` asks the engine, `keep` returns those of some points that pass, nearest first, at least
    as many as are wanted. `share` of all points pass, about. If too few of a walk's points pass,
    the next one is as long as their number suggests, with one added to it: that there was none may
    be chance.
    """
    count = walk_length(wanted.limit, share)
    while count <= most:
        candidates = ask(_walk(wanted, count))
        found = keep(candidates)
        # All that have the score were seen, or enough that pass.
        is_all = wanted.score_threshold is not None and len(candidates) < count
        if is_all or len(found) >= wanted.limit:
            return found[: wanted.limit]
        count = walk_length(wanted.limit, (len(found) + 1) / count)
    return None


def _walk(wanted: EngineQuery, count: int) -> qe.QueryRequest:
    """Ask for the nearest points; with int8 as every search of a graph does."""
    return qe.QueryRequest(
        query=wanted.query,
        limit=count,
        score_threshold=wanted.score_threshold,
        with_payload=False,
        params=qe.SearchParams(
            hnsw_ef=count, quantization=qe.QuantizationSearchParams(rescore=True, oversampling=2.0)
        ),
    )


def passing_of(wanted: EngineQuery, passing: qe.Filter, ids: set[Any]) -> qe.QueryRequest:
    """Ask which of some points pass, compared by their whole vectors."""
    these = qe.HasIdCondition(ids)
    return qe.QueryRequest(
        query=wanted.query,
        filter=qe.Filter(must=[these, passing]),
        limit=wanted.limit,
        score_threshold=wanted.score_threshold,
        with_payload=wanted.payloads,
        params=qe.SearchParams(exact=True, quantization=qe.QuantizationSearchParams(ignore=True)),
    )
