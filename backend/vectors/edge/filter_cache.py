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
    """Results by filter, of `most` at once, for some seconds or always; threads may share it.

    Filters on open attributes are kept only if `open_too`: what they cost is estimated anew each
    time. Their values may equal each other, as 1 does True, and mean something else; so what is
    written counts for them. One query asks several times about one filter, and the next query often
    about the same object: it is known again without a look at its values. Nobody changes a filter.
    """

    def __init__(
        self,
        schema: Schema,
        *,
        seconds: float = math.inf,
        open_too: bool = False,
        most: int = MOST,
    ) -> None:
        self._schema = schema
        self._seconds = seconds
        self._open_too = open_too
        self._most = most
        self._kept: dict[Any, tuple[Found, float]] = {}
        self._last: tuple[Where | None, Any, float] = (None, None, 0.0)

    def of(self, where: Where, find: Callable[[Where], Found]) -> Found:
        """Return what `find` returns for this filter, or has returned."""
        last, known, end = self._last
        if last is where and time.monotonic() < end:
            return known  # type: ignore[no-any-return]
        return self._of_values(where, find)

    def keeps(self, where: Where) -> bool:
        """Tell whether the result of this filter is kept."""
        values = sum([len(it.any_of) + len(it.none_of) for it in where.values()])
        return values <= MOST_VALUES and (self._open_too or where.keys() <= self._schema.keys())

    def _of_values(self, where: Where, find: Callable[[Where], Found]) -> Found:
        if not self.keeps(where):
            return find(where)
        if not where.keys() <= self._schema.keys():
            key: Any = repr(where)
        else:
            key = tuple([(field, it, *map(type, it.any_of)) for field, it in where.items()])
        now = time.monotonic()
        kept = self._kept.get(key)
        if kept is None or now >= kept[1]:
            kept = find(where), now + self._seconds
            if len(self._kept) >= self._most:
                self._kept.clear()
            self._kept[key] = kept
        if where:
            self._last = (where, *kept)
        return kept[0]
