"""Which of the hits of one query its list is made of, by what SQL says of their products now."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import repeat
from operator import attrgetter
from typing import Any, Protocol

from backend.search.candidate_rows import CandidateColumns, candidate, with_rows
from backend.search.found import Neighbour, Rows, neighbours
from backend.search.judging import ByValues
from backend.vectors import Hit


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


class Selection:
    """The products of one list, best first: `limit` that pass the filter and that no rule hides.

    With `group_by`, a column, it holds the best product of each value; the values `taken` have
    theirs before. `hiding` are the rules that hide products. `chosen_by` is what is read of
    products to choose them by, None for all (`candidate_rows`).
    """

    def __init__(
        self,
        limit: int,
        passes: ByValues[bool] | None,
        *,
        group_by: str | None = None,
        taken: Collection[Any] = (),
        hiding: Hiding | None = None,
        chosen_by: CandidateColumns | None = None,
    ) -> None:
        self.limit = limit
        self.passes = passes
        self.group_by = group_by
        self.hiding = hiding
        self.chosen_by = chosen_by
        self.by_product: dict[int, Neighbour] = {}
        self.groups: dict[Any, None] = dict.fromkeys(taken)  # values of `group_by`
        self._taken = taken
        self._passed: set[int] = set()  # products, also those that are hidden

    @property
    def items(self) -> list[Neighbour]:
        """The products, best first."""
        return list(self.by_product.values())

    @property
    def missing(self) -> int:
        """How many products it lacks."""
        return self.limit - len(self.by_product)

    @property
    def passed(self) -> int:
        """How many of the products that were looked at pass the filter."""
        return len(self._passed)

    def clear(self) -> None:
        """Begin anew."""
        self.by_product.clear()
        self._passed.clear()
        self.groups = dict.fromkeys(self._taken)

    def add(self, hits: Sequence[Hit], rows: Mapping[int, Any], *, images: bool) -> bool:
        """Add from the next hits, best first, until there are enough; return whether hits are left.

        `rows` are those of their products: one of each with `chosen_by`, else `Rows`.
        """
        if self.chosen_by is not None:
            return self._add_candidates(hits, rows)
        return self._add_neighbours(hits, rows, images=images)

    def _add_neighbours(
        self, hits: Sequence[Hit], rows: Mapping[int, Rows], *, images: bool
    ) -> bool:
        passes, hiding, limit, items = self.passes, self.hiding, self.limit, self.by_product
        found = neighbours(hits, rows, images=images)
        for one in found:
            row = one.product
            if passes and not passes(row):
                continue
            product = row.id
            self._passed.add(product)
            if product in items or (hiding and hiding.hides(one)):
                continue
            if self.group_by is None or self._is_first(getattr(row, self.group_by)):
                items[product] = one
            if len(items) == limit:
                return next(found, None) is not None
        return False

    def _is_first(self, group: Any) -> bool:
        """Tell whether a group has no product yet, and note that it has one."""
        if group is None:
            return True
        is_first = group not in self.groups
        self.groups[group] = None
        return is_first

    def _add_candidates(self, hits: Sequence[Hit], rows: Mapping[int, Any]) -> bool:
        """Do as `add`, with few calls of Python for each of many hits."""
        hits, there = with_rows(hits, rows)
        passes = self.passes.each(there) if self.passes else repeat(True)
        hiding: Iterable[int | None] = repeat(None)
        if self.hiding:
            hiding = self.hiding.hiding_rules(there)
        values: Iterable[Any] = repeat(None)
        if self.group_by:
            values = map(attrgetter(self.group_by), there)
        items, groups = self.by_product, self.groups
        for left, hit, row, passing, rule, group in zip(
            range(len(hits) - 1, -1, -1), hits, there, passes, hiding, values, strict=False
        ):
            if not passing:
                continue
            product = row.id
            self._passed.add(product)
            if rule is not None and self.hiding:
                self.hiding.note_hidden(product, rule)
            elif product not in items and (group is None or group not in groups):
                items[product] = candidate(hit, row)
                if group is not None:
                    groups[group] = None
            if len(items) == self.limit:
                return bool(left)
        return False
