"""Products at fixed positions of a list, by the rules of merchandisers.

A rule that names several skus pins them at its position and the following ones. One that has a
filter pins the best product of the list that passes it. Where a position is taken, the next free
one is used. What cannot be shown is left out, and the list closes up: products that are unknown,
removed, sold out or not indexed, that the query excludes or filters out, and hidden ones.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import numpy as np

from backend.database.models import Generation
from backend.database.reader import Reader
from backend.filters import OPEN_PREFIX, Condition, Where
from backend.filters.matching import ValueOf, columns_of
from backend.merchandising.rule_set import Action, Rule
from backend.search.collecting import Collecting
from backend.search.collecting_rounds import collect
from backend.search.colour_weight import WeightedQuery
from backend.search.found import (
    Neighbour,
    Rows,
    RuleActed,
    neighbours,
    read_rows_of_skus,
)
from backend.search.judging import ByValues
from backend.search.recall_monitor import Search
from backend.search.ruling import Ruling, Unpinned
from backend.search.selection import Selection
from backend.search.statements import read_json
from backend.search.stored_vectors import StoredVectors, has_vector
from backend.vectors import Hit, Vector, VectorIndex
from backend.vectors.image_points import point_ids, product_of

Shown = TypeVar("Shown")

IN_STOCK: Final = Condition(any_of=(True,))


class Candidates:
    """The products that rules name by sku, read once for several lists of one generation."""

    def __init__(
        self, connection: Reader, index: VectorIndex, generation: Generation, *, images: bool
    ) -> None:
        self._connection = connection
        self._index = index
        self._vectors = StoredVectors(index, connection, generation.fingerprint)
        self.generation = generation
        self._images = images
        self._rows: dict[str, Rows] = {}
        self._points: dict[int, dict[int, Vector]] = {}  # of each product, by their ids
        self._read: set[str] = set()

    def read(self, skus: Collection[str]) -> None:
        """Read the rows and the points of some products."""
        unread = sorted(set(skus) - self._read)
        rows = self._read_rows(unread)
        self._rows |= rows
        self._read.update(unread)
        firsts = [found[0] for found in rows.values()]
        images = self.generation.most_images or 1
        named = [row for row in firsts if has_vector(row, slot=0) and not _has_further(row)]
        digests = {row.id: row.embedded_digest for row in named}
        kept = self._vectors.of_images(self._connection, set(digests.values()))
        self._points |= {id_: {id_: kept[it]} for id_, it in digests.items() if it in kept}
        others = point_ids([row.id for row in firsts if row.id not in self._points], images)
        for id_, vector in self._index.vectors(others).items() if others else ():
            self._points.setdefault(product_of(id_), {})[id_] = vector

    def _read_rows(self, skus: Sequence[str]) -> dict[str, Rows]:
        """Return the rows of products by their skus: those that are unchanged as they were read."""
        id_, images = self.generation.id, self._images
        kept = self._connection.unchanged((Candidates, id_, images))
        if kept is None:
            return read_rows_of_skus(self._connection, id_, skus, images=images)
        rows = {sku: found for sku in skus if (found := kept.get(sku)) is not None}
        if unread := [sku for sku in skus if sku not in rows]:
            read = read_rows_of_skus(self._connection, id_, unread, images=images)
            self._connection.keep(kept, read)
            rows |= read
        return rows

    def of(self, sku: str, weighed: WeightedQuery | None) -> Neighbour | str:
        """Return a product by its nearest image, or why it cannot be pinned."""
        rows = self._rows.get(sku)
        if rows is None:
            return "no product has this sku"
        if not rows[0].in_stock:
            return "it is sold out"
        points = self._points.get(rows[0].id, {})
        hits = [Hit(id_, _cosine(vector, weighed)) for id_, vector in points.items()]
        by_id = {rows[0].id: rows}
        found = list(neighbours(hits, by_id, images=self._images))
        if not found:
            return "it is not indexed yet"
        best = max(found, key=lambda it: it.score)
        if weighed is not None:
            best.score = weighed.score_of(best.score)
        return best


def _has_further(row: Any) -> bool:
    """Tell whether a product has points of further images."""
    return bool(read_json(row.more_digests))


def _cosine(vector: Vector, weighed: WeightedQuery | None) -> float:
    """Return the cosine of a point to the query; 0 where the list is not searched by a vector."""
    if weighed is None:
        return 0.0
    asked = weighed.asked  # its length as by `np.linalg.norm`, which takes longer
    lengths = float(np.sqrt(asked.dot(asked)) * np.sqrt(vector.dot(vector)))
    return float(weighed.asked @ vector) / lengths if lengths else 0.0


@dataclass(kw_only=True)
class Pinning:
    """Finds the pinned products of one list, and keeps what is taken.

    `find` returns the best product of the list that passes a filter, without some products and
    groups, for rules that do not name skus. Former pages have shown `offset` products, of which
    `groups` are taken: positions are those of the whole list. `keeps` tells what a list takes at
    all, beside its filter.
    """

    ruling: Ruling
    candidates: Candidates
    weighed: WeightedQuery | None
    passes: Callable[[ValueOf], bool] | None
    excluded: set[int]
    limit: int
    group_by: str | None
    offset: int = 0
    keeps: Callable[[Neighbour], bool] | None = None
    groups: list[object] = field(default_factory=list)
    find: Callable[[Rule, Pinning], Neighbour | None]

    def __post_init__(self) -> None:
        self.found: dict[int, Neighbour] = {}  # by position

    def run(self) -> dict[int, Neighbour]:
        """Return the pinned products by their positions, from 1."""
        most = self.offset + self.limit
        pins = [rule for rule in self.ruling.pins if rule.position <= most]
        if pins:
            self.candidates.read({sku for rule in pins for sku in rule.skus})
        for rule in pins:
            if rule.where is not None:
                self._pin(rule, None, rule.position, self.find(rule, self) or "no product passes")
            for place, sku in enumerate(rule.skus, rule.position):
                self._pin(rule, sku, place, self.candidates.of(sku, self.weighed))
        return self.found

    def _pin(self, rule: Rule, sku: str | None, wanted: int, item: Neighbour | str) -> None:
        first = max(1, wanted - self.offset)
        free = (it for it in range(first, self.limit + 1) if it not in self.found)
        position = next(free, None)
        reason = item if isinstance(item, str) else self._objection(item)
        if reason is None and position is None:
            reason = "no position is free"
        if reason is not None:
            self.ruling.unpinned.append(Unpinned(rule.id, sku, reason))
        if reason is not None or position is None or isinstance(item, str):
            return
        item.rules, item.pinned_by = (RuleActed(rule.id, Action.PIN.value),), rule.id
        self.found[position] = item
        self.excluded.add(item.product.id)
        if (group := self.group_of(item)) is not None:
            self.groups.append(group)

    def takes(self, item: Neighbour) -> bool:
        """Tell whether a product is in stock and can be pinned."""
        return bool(item.product.in_stock) and self._objection(item) is None

    def group_of(self, item: Neighbour) -> object:
        """Return the value by which the list is grouped."""
        return item.value_of(self.group_by) if self.group_by else None

    def _objection(self, item: Neighbour) -> str | None:
        """Return why the list cannot show a product that there is."""
        if item.product.id in {it.product.id for it in self.found.values()}:
            return "another rule pins it"
        if item.product.id in self.excluded:
            return "the query leaves it out"
        if self.passes and not self.passes(item.value_of):
            return "it does not pass the filter"
        if (hiding := self.ruling.hiding_rule(item.value_of)) is not None:
            return f"rule {hiding} hides it"
        if self.keeps and not self.keeps(item):
            return "the list does not take it"
        group = self.group_of(item)
        return "its group is pinned already" if group in self.groups and group is not None else None


def nearest_that_passes(
    connection: Reader,
    index: VectorIndex,
    generation: Generation,
    weighed: WeightedQuery,
    where: Where,
    *,
    images: bool,
) -> Callable[[Rule, Pinning], Neighbour | None]:
    """Return what finds, for a rule with a filter, the nearest product of the index."""

    def find(rule: Rule, pinning: Pinning) -> Neighbour | None:
        if (both := _both(where, {**(rule.where or {}), "in_stock": IN_STOCK})) is None:
            return None

        def passes(value_of: ValueOf) -> bool:
            is_ours = rule.matches(value_of) and bool(value_of("in_stock"))
            return is_ours and (pinning.passes is None or pinning.passes(value_of))

        search = Search(
            generation=generation,
            vector=weighed.asked,
            where=both,
            exclude=tuple(pinning.excluded),
            mode=index.search_mode(both),
        )
        selection = Selection(
            1,
            ByValues({*columns_of(both), "in_stock"}, passes),
            group_by=pinning.group_by,
            taken=pinning.groups,
            hiding=pinning.ruling if pinning.ruling.hides_any else None,
        )
        collect(connection, index, [Collecting(search, selection)], {}, images=images)
        best = next(iter(selection.items), None)
        if best is not None:
            best.score = weighed.score_of(best.score)
        return best

    return find


def _both(one: Where, other: Where) -> Where | None:
    """Return the filter for the index that passes what both do; None where that can be nothing.

    Of two lists of values of an open attribute, whose spelling is free, it takes the first one.
    """
    found = dict(one)
    for name, condition in other.items():
        joined = _join(name, found[name], condition) if name in found else condition
        if joined is None:
            return None
        found[name] = joined
    return found


def _join(name: str, one: Condition, other: Condition) -> Condition | None:
    any_of = one.any_of or other.any_of
    if one.any_of and other.any_of and not name.startswith(OPEN_PREFIX):
        any_of = tuple(it for it in one.any_of if it in other.any_of)
        if not any_of:
            return None
    bounds = {**_tighter(one, other, "gte", "gt", max), **_tighter(one, other, "lte", "lt", min)}
    return Condition(any_of=any_of, none_of=(*one.none_of, *other.none_of), **bounds)


def _tighter(
    one: Condition, other: Condition, loose: str, strict: str, pick: Callable[..., float]
) -> dict[str, float]:
    """Return the bound of one side that both keep; an index takes one on each side."""
    given = [
        (value, name)
        for each in (one, other)
        for name in (loose, strict)
        if (value := getattr(each, name)) is not None
    ]
    if not given:
        return {}
    value = pick(value for value, _ in given)
    return {strict if (value, strict) in given else loose: value}


def with_pins(pins: Mapping[int, Shown], others: Sequence[Shown], limit: int) -> list[Shown]:
    """Return a list with the pinned ones at their positions; those beyond its end follow it."""
    return list(_places(pins, others, limit))


def _places(pins: Mapping[int, Shown], others: Sequence[Shown], limit: int) -> Iterator[Shown]:
    rest = iter(others)
    for position in range(1, limit + 1):
        if position in pins:
            yield pins[position]
        elif (following := next(rest, None)) is not None:
            yield following
