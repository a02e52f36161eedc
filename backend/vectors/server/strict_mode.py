"""What a collection's strict mode allows, as far as our requests come near it.

Qdrant's cloud sets it for every collection. Requests are cut to these limits where the answer stays
the same. Where it would not, an error names the setting.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from qdrant_client import models

from backend.errors import FilterTooLarge, IndexLimited

OVERSAMPLING: Final = 2.0
"""Candidates for each wanted neighbour, when int8 codes are searched."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of one collection; None: none. The names are Qdrant's."""

    max_query_limit: int | None = None
    max_timeout: int | None = None
    search_allow_exact: bool = True
    search_max_oversampling: float | None = None
    upsert_max_batchsize: int | None = None
    filter_max_conditions: int | None = None
    condition_max_size: int | None = None

    @classmethod
    def of(cls, strict: models.StrictModeConfigOutput | None) -> Limits:
        """Read a collection's configuration."""
        if strict is None or not strict.enabled:
            return cls()
        names = (name for name in cls.__dataclass_fields__ if name != "search_allow_exact")
        return cls(
            search_allow_exact=strict.search_allow_exact is not False,
            **{name: getattr(strict, name, None) for name in names},
        )

    def page(self, wanted: int) -> int:
        """Return how many points may be asked for in one request."""
        return min(wanted, self.max_query_limit or wanted)

    def seconds(self, wanted: int) -> int:
        """Return the time limit of a request."""
        return min(wanted, self.max_timeout or wanted)

    def batch(self, wanted: int) -> int:
        """Return how many points one upsert may have."""
        return min(wanted, self.upsert_max_batchsize or wanted)

    def ids(self, wanted: int) -> int:
        """Return how many ids one condition may have."""
        return min(wanted, self.condition_max_size or wanted)

    def oversampling(self) -> float:
        """Return the oversampling of a search of int8 codes."""
        return min(OVERSAMPLING, self.search_max_oversampling or math.inf)

    def check_limit(self, wanted: int) -> None:
        """Raise IndexLimited if so many hits cannot be asked for."""
        if self.page(wanted) < wanted:
            raise limited("max_query_limit", f"{self.max_query_limit}; {wanted} are asked for")

    def check_exact(self) -> None:
        """Raise IndexLimited if nothing may be compared or counted exactly."""
        if not self.search_allow_exact:
            raise limited("search_allow_exact", "false; this needs an exact answer")

    def check_filter(self, given: models.Filter | None) -> None:
        """Raise FilterTooLarge if a filter has too many conditions."""
        most = self.filter_max_conditions
        if most is not None and given is not None and (count := _count(given)) > most:
            raise FilterTooLarge(
                f"the filter becomes {count} conditions; the collection's strict mode "
                f"(filter_max_conditions) allows {most}"
            )


def limited(setting: str, value: str) -> IndexLimited:
    """Return the error for what a setting of strict mode does not allow."""
    return IndexLimited(
        f"the strict mode of the Qdrant collection does not allow this: {setting} is {value}",
        setting=setting,
    )


def _count(given: models.Filter) -> int:
    return sum(
        _count(it) if isinstance(it, models.Filter) else 1
        for group in (given.must, given.should, given.must_not)
        for it in _conditions(group)
    )


def _conditions(group: Any) -> Iterator[Any]:
    if isinstance(group, list):
        yield from group
    elif group is not None:
        yield group
