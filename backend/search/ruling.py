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
from types import MappingProxyType
from typing import Any, Final, TypeVar

from backend.database.reader import Reader
from backend.filters import Condition
from backend.filters.matching import ValueOf, columns_of
from backend.merchandising.rule_set import Action, Rule, RuleSet
from backend.search.boosting import MOST
from backend.search.found import Neighbour, RuleActed, read_rows
from backend.search.judging import ByValues, value_of_row
from backend.search.shaping import Shaping

Found = TypeVar("Found")

MOST_KEPT: Final = 64
"""Combinations of rules whose verdicts are kept: of rules with conditions, some act on a list."""


@dataclass(frozen=True)
class Unpinned:
    """A product that a rule pins, and why it is not at its position in this list."""

    rule: int
    sku: str | None
    reason: str


class Verdicts:
    """What the rules of a list say of any product, whatever the list is about. Threads share it."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = rules
        self.pins = self._of(Action.PIN)
        self.hiding = self._of(Action.HIDE)
        self.weighing = self._of(Action.BOOST, Action.BURY)
        self.columns = _columns_of([*self.hiding, *self.weighing])
        self.hidden_values = _hidden_values(self.hiding)
        self._hiding_rule = self._by_values(self.hiding, self.hiding_rule)
        self._weight = self._by_values(self.weighing, self._weigh)

    def _of(self, *actions: Action) -> list[Rule]:
        return [it for it in self.rules if it.action in actions]

    def _by_values(
        self, rules: Sequence[Rule], judge: Callable[[ValueOf], Found]
    ) -> ByValues[Found]:
        return ByValues(_columns_of(rules) or {"id"}, judge)

    def hiding_rule(self, value_of: ValueOf) -> int | None:
        """Return the first rule that hides a product."""
        return next((it.id for it in self.hiding if it.matches(value_of)), None)

    def hiding_rules(self, rows: Sequence[Any]) -> list[int | None]:
        """Return the first rule that hides each of some products, by their rows."""
        return self._hiding_rule.each(rows)

    def weights(self, rows: Sequence[Any]) -> list[tuple[float, tuple[RuleActed, ...]]]:
        """Return what rules add to the score of each product, and which rules do."""
        return self._weight.each(rows)

    def _weigh(self, value_of: ValueOf) -> tuple[float, tuple[RuleActed, ...]]:
        acting = [rule for rule in self.weighing if rule.matches(value_of)]
        amount = min(MOST, max(-MOST, sum([rule.weight for rule in acting])))
        return amount, tuple([RuleActed(rule.id, rule.action.value) for rule in acting])


def _hidden_values(rules: Sequence[Rule]) -> Mapping[str, tuple[Any, ...]]:
    """Return what rules hide by the values of one field alone: {field: values}."""
    found: dict[str, tuple[Any, ...]] = {}
    for rule in rules:
        where = rule.where or {}
        [(name, condition)] = where.items() if len(where) == 1 else [("", Condition())]
        if name and condition == Condition(any_of=condition.any_of):
            found[name] = (*found.get(name, ()), *condition.any_of)
    return found


def _columns_of(rules: Sequence[Rule]) -> frozenset[str]:
    return frozenset(
        column for rule in rules for column in (columns_of(rule.where) if rule.where else ("sku",))
    )


class _KeptVerdicts:
    """The verdicts of the rules of the last query: mostly those of the next one, too."""

    def __init__(self) -> None:
        self._kept: tuple[RuleSet, dict[tuple[int, ...], Verdicts]] = (RuleSet(), {})

    def of(self, all_: RuleSet, rules: Sequence[Rule]) -> Verdicts:
        """Return the verdicts of some rules of a set. Threads may ask at once."""
        of_set, kept = self._kept
        if of_set is not all_:
            self._kept = of_set, kept = all_, {}
        named = tuple(map(id, rules))  # two that are tried may have one id
        found = kept.get(named)
        if found is None:
            if len(kept) >= MOST_KEPT:
                kept.clear()
            found = kept[named] = Verdicts(rules)
        return found


_kept_verdicts: Final = _KeptVerdicts()
NO_VERDICTS: Final = Verdicts(())


@dataclass(kw_only=True)
class Ruling:
    """The rules that act on one list, in order, and what they have done."""

    verdicts: Verdicts = NO_VERDICTS
    hidden: dict[int, int] = field(default_factory=dict)  # product -> the rule that hides it
    unpinned: list[Unpinned] = field(default_factory=list)

    @property
    def rules(self) -> Sequence[Rule]:
        """The rules, in order."""
        return self.verdicts.rules

    @property
    def hidden_values(self) -> Mapping[str, tuple[Any, ...]]:
        """What is hidden by the values of one field alone: {field: values}."""
        return self.verdicts.hidden_values

    @property
    def hides_any(self) -> bool:
        """Whether there is a rule that hides."""
        return bool(self.verdicts.hiding)

    @property
    def pins(self) -> list[Rule]:
        """The rules that pin."""
        return self.verdicts.pins

    @property
    def columns(self) -> frozenset[str]:
        """The columns of products that hiding, raising and lowering look at."""
        return self.verdicts.columns

    def hides(self, item: Neighbour) -> bool:
        """Tell whether a product is hidden, and note it."""
        [rule] = self.hiding_rules([item.product]) if self.hides_any else [None]
        if rule is not None:
            self.note_hidden(item.product.id, rule)
        return rule is not None

    def hiding_rules(self, rows: Sequence[Any]) -> list[int | None]:
        """Return the first rule that hides each of some products, by their rows."""
        return self.verdicts.hiding_rules(rows)

    def note_hidden(self, product: int, rule: int) -> None:
        """Note that a rule has left a product out."""
        self.hidden[product] = rule

    def hiding_rule(self, value_of: ValueOf) -> int | None:
        """Return the first rule that hides a product."""
        return self.verdicts.hiding_rule(value_of)

    def shaped(self, shaping: Shaping) -> Shaping:
        """Return the options of the list, which needs more products where rules reorder it."""
        if shaping.reorders or not self.verdicts.weighing:
            return shaping
        return replace(shaping, ruled=True)

    def weighed(self, items: Sequence[Neighbour]) -> list[Neighbour]:
        """Note what rules add to the scores of the items, and which rules do."""
        found = (
            self.verdicts.weights([it.product for it in items]) if self.verdicts.weighing else ()
        )
        for item, (amount, acted) in zip(items, found, strict=False):
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
        return [Ruling(verdicts=_kept_verdicts.of(rules, found)) for _ in about]
    unknown = {id_ for each in about for id_ in each} - known.keys()
    read = read_rows(connection, generation_id, unknown, images=False)
    rows = {**known, **{id_: of_product[0] for id_, of_product in read.items()}}

    def values_of(id_: int) -> ValueOf:
        return lambda name: value_of_row(rows[id_], name)

    made = []
    for each in about:
        values = [values_of(id_) for id_ in each if id_ in rows]
        suiting = [it for it in found if not it.condition or any(map(it.suits, values))]
        made.append(Ruling(verdicts=_kept_verdicts.of(rules, suiting)))
    return made
