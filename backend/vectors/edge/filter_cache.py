"""What is computed from a filter alone, kept for the queries that have the same one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from backend.filters import Schema, Where

Found = TypeVar("Found")

MOST: Final = 512
MOST_VALUES: Final = 50
"""Filters of more values are not kept."""


class FilterCache(Generic[Found]):
    """Results by filter, for some seconds or always; threads may share it.

    Filters on open attributes are kept only if `open_too`: what they cost is estimated anew each
    time. Their values may equal each other, as 1 does True, and mean something else; so what is
    written counts for them.
    """

    def __init__(
        self, schema: Schema, *, seconds: float = math.inf, open_too: bool = False
    ) -> None:
        self._schema = schema
        self._seconds = seconds
        self._open_too = open_too
        self._kept: dict[Any, tuple[Found, float]] = {}

    def of(self, where: Where, find: Callable[[Where], Found]) -> Found:
        """Return what `find` returns for this filter, or has returned."""
        values = sum([len(it.any_of) + len(it.none_of) for it in where.values()])
        is_open = not where.keys() <= self._schema.keys()
        if values > MOST_VALUES or (is_open and not self._open_too):
            return find(where)
        if is_open:
            key: Any = repr(where)
        else:
            key = tuple([(field, it, *map(type, it.any_of)) for field, it in where.items()])
        now = time.monotonic()
        found, end = self._kept.get(key, (None, 0.0))
        if now < end:
            return found  # type: ignore[return-value]
        found = find(where)
        if len(self._kept) >= MOST:
            self._kept.clear()
        self._kept[key] = found, now + self._seconds
        return found
