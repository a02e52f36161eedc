"""What the rules of merchandisers do to one list: who is hidden, raised, lowered, and what is left.

Hidden products are left out first. Pinned ones get their positions next (`search.pinning`). The
others are put in order by similarity, boosts, and what rules add: the sum of their weights, from
-MOST to MOST. Rules act in the order of their priority, then of their id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any

from backend.database.reader import Reader
from backend.filters import Condition
from backend.filters.matching import ValueOf, columns_of
from backend.merchandising.rule_set import Action, Rule, RuleSet
from backend.search.boosting import MOST
from backend.search.found import Neighbour, RuleActed, read_rows
from backend.search.judging import by_values, value_of_row
from backend.search.shaping import Shaping


@dataclass(frozen=True)
class Unpinned:
    """A product that a rule pins, and why it is not at its position in this list."""

    rule: int
    sku: str | None
    reason: str


@dataclass(kw_only=True)
class Ruling:
    """The rules that act on one list, in order, and what they have done."""

    rules: Sequence[Rule] = ()
    hidden: dict[int, int] = field(default_factory=dict)  # product -> the rule that hides it
    unpinned: list[Unpinned] = field(default_factory=list)

    @cached_property
    def hidden_values(self) -> Mapping[str, tuple[Any, ...]]:
        """What is hidden by the values of one field alone: {field: values}."""
        found: dict[str, tuple[Any, ...]] = {}
        for rule in self._hiding:
            where = rule.where or {}
            [(name, condition)] = where.items() if len(where) == 1 else [("", Condition())]
            if name and condition == Condition(any_of=condition.any_of):
                found[name] = (*found.get(name, ()), *condition.any_of)
        return found

    @cached_property
    def hides_any(self) -> bool:
        """Whether there is a rule that hides."""
        return bool(self._hiding)

    @cached_property
    def pins(self) -> list[Rule]:
        """The rules that pin."""
        return self._of(Action.PIN)

    @cached_property
    def _hiding(self) -> list[Rule]:
        return self._of(Action.HIDE)

    @cached_property
    def _weighing(self) -> list[Rule]:
        return self._of(Action.BOOST, Action.BURY)

    @property
    def columns(self) -> frozenset[str]:
        """The columns of products that hiding, raising and lowering look at."""
        return _columns_of([*self._hiding, *self._weighing])

    @cached_property
    def _hiding_rule_of(self) -> Callable[[Any], int | None]:
        return by_values(_columns_of(self._hiding), self.hiding_rule)

    @cached_property
    def _weight_of(self) -> Callable[[Any], tuple[float, tuple[RuleActed, ...]]]:
        return by_values(_columns_of(self._weighing), self._weigh)

    def _weigh(self, value_of: ValueOf) -> tuple[float, tuple[RuleActed, ...]]:
        """Return what rules add to the score of a product, and which rules do."""
        acting = [rule for rule in self._weighing if rule.matches(value_of)]
        amount = min(MOST, max(-MOST, sum([rule.weight for rule in acting])))
        return amount, tuple([RuleActed(rule.id, rule.action.value) for rule in acting])

    def _of(self, *actions: Action) -> list[Rule]:
        return [it for it in self.rules if it.action in actions]

    def hides(self, item: Neighbour) -> bool:
        """Tell whether a product is hidden, and note it."""
        rule = self._hiding_rule_of(item.product) if self._hiding else None
        if rule is not None:
            self.hidden[item.product.id] = rule
        return rule is not None

    def hiding_rule(self, value_of: ValueOf) -> int | None:
        """Return the first rule that hides a product."""
        return next((it.id for it in self._hiding if it.matches(value_of)), None)

    def shaped(self, shaping: Shaping) -> Shaping:
        """Return the options of the list, which needs more products where rules reorder it."""
        return replace(shaping, ruled=True) if self._weighing else shaping

    def weighed(self, items: Sequence[Neighbour]) -> list[Neighbour]:
        """Note what rules add to the scores of the items, and which rules do."""
        for item in items if self._weighing else ():
            amount, acted = self._weight_of(item.product)
            if acted:
                item.boost = (item.boost or 0.0) + amount
                item.rules = (*item.rules, *acted)
        return list(items)

    def described(self, items: Sequence[Neighbour]) -> dict[str, Any]:
        """Return what the rules have done to a list, for its `meta`."""
        counts = Counter(self.hidden.values())
        counts.update(each.id for item in items for each in item.rules)
        return {
            "hidden": len(self.hidden),
            "acted": [
                {"id": rule.id, "action": rule.action.value, "products": counts[rule.id]}
                for rule in self.rules
            ],
            "not_pinned": [
                {"id": it.rule, "sku": it.sku, "reason": it.reason} for it in self.unpinned
            ],
        }


def _columns_of(rules: Sequence[Rule]) -> frozenset[str]:
    return frozenset(
        column for rule in rules for column in (columns_of(rule.where) if rule.where else ("sku",))
    )


def rulings(
    connection: Reader,
    generation_id: int,
    rules: RuleSet,
    *,
    placement: str | None,
    about: Sequence[Sequence[int]],
    known: Mapping[int, Any] = MappingProxyType({}),
    now: datetime,
) -> list[Ruling]:
    """Return the rules for each of several lists; `about` are the ids of the products of each.

    A rule with a condition acts where one of these products passes it. Rows that are `known`, by
    the ids of their products, are not read again.
    """
    found = rules.in_force(placement, now)
    if not any(rule.condition for rule in found):
        return [Ruling(rules=found) for _ in about]
    unknown = {id_ for each in about for id_ in each} - known.keys()
    read = read_rows(connection, generation_id, unknown, images=False)
    rows = {**known, **{id_: of_product[0] for id_, of_product in read.items()}}

    def values_of(id_: int) -> ValueOf:
        return lambda name: value_of_row(rows[id_], name)

    made = []
    for each in about:
        values = [values_of(id_) for id_ in each if id_ in rows]
        suiting = [it for it in found if not it.condition or any(map(it.suits, values))]
        made.append(Ruling(rules=suiting))
    return made
