"""Make a new shard equal to the one in use, while that is searched and written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any, Final, TypeAlias

import qdrant_edge as qe

from backend.vectors import CLAIM
from backend.vectors.points import BATCH

PAGE: Final = 1000
"""Points per page of a walk: about 3 ms, in which no other thread runs."""

UseShard: TypeAlias = Callable[[], AbstractContextManager[qe.EdgeShard]]
"""Gives an open shard for one call of the engine."""


def walk(using: UseShard, *, start: int = 0) -> Iterator[tuple[int, int]]:
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
    """Yield the ids that only one of two walks has, or that have another claim in each."""
    left, right = iter(one), iter(other)
    a, b = next(left, None), next(right, None)
    while a is not None or b is not None:
        if b is None or (a is not None and a[0] < b[0]):
            assert a is not None  # noqa: S101  (for the type checker)
            yield a[0]
            a = next(left, None)
        elif a is None or b[0] < a[0]:
            yield b[0]
            b = next(right, None)
        else:
            if a[1] != b[1]:
                yield a[0]
            a, b = next(left, None), next(right, None)


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
