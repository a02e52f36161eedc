"""Make a new shard equal to the one in use, while that is searched and written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from heapq import merge
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, Final, TypeAlias

import qdrant_edge as qe

from backend.vectors import CLAIM
from backend.vectors.points import BATCH

PAGE: Final = 1000
"""Points per page: about 3 ms, in which no other thread runs."""

UseShard: TypeAlias = Callable[[], AbstractContextManager[qe.EdgeShard]]
"""Gives an open shard for one call of the engine."""


def scroll_claims(using: UseShard, *, start: int = 0) -> Iterator[tuple[int, int]]:
    """Yield (id, claim) of the points from `start` on, in id order."""
    offset: Any = start
    while offset is not None:
        request = qe.ScrollRequest(offset=offset, limit=PAGE, with_payload=[CLAIM])
        with using() as shard:
            page, offset = shard.scroll(request)
        for point in page:
            claim = (point.payload or {}).get(CLAIM)
            if isinstance(point.id, int) and isinstance(claim, int):  # no other is ours
                yield point.id, claim


def differing_ids(
    one: Iterable[tuple[int, int]], other: Iterable[tuple[int, int]]
) -> Iterator[int]:
    """Yield the ids that only one of two shards has, or that have different claims.

    Takes the (id, claim) of each shard, in id order.
    """
    for id_, pairs in groupby(merge(one, other), key=itemgetter(0)):
        claims = [claim for _, claim in pairs]
        if len(claims) == 1 or claims[0] != claims[1]:
            yield id_


def copy_points(ids: Iterable[int], using: UseShard, target: qe.EdgeShard) -> None:
    """Copy the points with these ids to `target`; delete there those that the source lacks."""
    remaining = iter(sorted(ids))
    while chunk := list(islice(remaining, BATCH)):
        with using() as source:
            found = source.retrieve([*chunk], True, True)
        points = [qe.Point(int(it.id), it.vector or [], it.payload or {}) for it in found]
        gone = set(chunk) - {int(it.id) for it in found}
        if points:
            target.update(qe.UpdateOperation.upsert_points(points))
        if gone:
            target.update(qe.UpdateOperation.delete_points(list(gone)))
