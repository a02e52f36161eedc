"""Rules as queries use them: read from their rows once for each change, compared with products."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any, Final, TypeAlias

from sqlalchemy import func, select

from backend.database.engine import Database
from backend.database.models import RuleChange
from backend.database.reader import Reader
from backend.errors import InvalidFilter
from backend.filters import Condition, Schema, Where
from backend.filters.check import check
from backend.filters.matching import ValueOf, matcher
from backend.merchandising import rules

PRIORITY: Final = 100
"""Of a rule that does not say its own; smaller ones go first."""

WEIGHT: Final = 0.1
"""By how much a rule raises or lowers a product that does not say it."""

Passes: TypeAlias = Callable[[ValueOf], bool]


class Action(StrEnum):
    """What a rule does with its products."""

    PIN = "pin"
    HIDE = "hide"
    BOOST = "boost"
    BURY = "bury"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule. It is about the products `skus`, or about those that pass `where`.

    `condition` is what the query product must be like, `placement` the one whose lists it is for;
    None: every list. `weight` is negative where products are lowered.
    """

    id: int
    action: Action
    skus: tuple[str, ...] = ()
    where: Where | None = None
    condition: Where | None = None
    placement: str | None = None
    position: int = 1
    weight: float = 0.0
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    priority: int = PRIORITY
    enabled: bool = True
    matches: Passes = field(repr=False, compare=False)
    suits: Passes = field(repr=False, compare=False)

    @property
    def order(self) -> tuple[int, int]:
        """What rules are sorted by."""
        return self.priority, self.id

    def is_in_force(self, placement: str | None, now: datetime) -> bool:
        """Tell whether it acts on the lists of a placement now, whatever they are about."""
        has_begun = self.starts_at is None or self.starts_at <= now
        return (
            self.enabled
            and has_begun
            and not self.is_over(now)
            and self.placement in (None, placement)
        )

    def is_over(self, now: datetime) -> bool:
        """Tell whether its period has ended."""
        return self.ends_at is not None and self.ends_at <= now


@dataclass(frozen=True)
class RuleSet:
    """All rules that can be used, in order, and why others cannot: {id: reason}."""

    rules: Sequence[Rule] = ()
    faults: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Mapping[int, Mapping[str, Any]], schema: Schema) -> RuleSet:
        """Read the settings of rules by their ids."""
        found, faults = list[Rule](), dict[int, str]()
        for id_, each in settings.items():
            try:
                found.append(read_rule(id_, each, schema))
            except InvalidFilter as error:
                faults[id_] = error.message
            except (KeyError, TypeError, ValueError) as error:
                faults[id_] = f"its settings cannot be read: {error!r}"
        return cls(sorted(found, key=lambda it: it.order), faults)

    @cached_property
    def has_conditions(self) -> bool:
        """Whether a rule looks at the query product."""
        return any(it.condition for it in self.rules)

    def in_force(self, placement: str | None, now: datetime) -> list[Rule]:
        """Return the rules that act on the lists of a placement now, in order."""
        return [it for it in self.rules if it.is_in_force(placement, now)]

    def without(self, ids: Collection[int]) -> RuleSet:
        """Return the set without some rules."""
        return RuleSet([it for it in self.rules if it.id not in ids], self.faults)

    def also(self, others: Sequence[Rule]) -> RuleSet:
        """Return the set with further rules."""
        return RuleSet(sorted([*self.rules, *others], key=lambda it: it.order), self.faults)


NO_RULES: Final = RuleSet()


class ActiveRules:
    """The rules as they are now. One per process, for all its threads.

    A query reads the number of their last change in a statement that it needs anyway. The rules are
    read again only when that number has changed.
    """

    def __init__(self, db: Database, schema: Schema) -> None:
        self._db = db
        self._schema = schema
        self._last: tuple[int | None, RuleSet] = (None, NO_RULES)

    @property
    def last(self) -> RuleSet:
        """The rules of the query before, to guess what the next one needs."""
        return self._last[1]

    def of(self, version: int | None) -> RuleSet:
        """Return the rules after the change of this number; None: there was none."""
        known, found = self._last
        if version != known:
            with self._db.read() as session:
                settings = {it.id: it.settings for it in rules.listed(session)}
            found = RuleSet.of(settings, self._schema)
            self._last = version, found
        return found


_NEWEST_CHANGE: Final = select(func.max(RuleChange.id).label("id"))


def newest_change(connection: Reader) -> int | None:
    """Return the number of the last change of a rule, as `ActiveRules.of` takes it."""
    found: int | None = connection.rows(_NEWEST_CHANGE)[0].id
    return found


def read_rule(id: int, settings: Mapping[str, Any], schema: Schema) -> Rule:
    """Read a rule from its settings. Raises InvalidFilter, KeyError, TypeError, ValueError."""
    action = Action(settings["action"])
    where, condition = (read_where(settings.get(name)) for name in ("filter", "condition"))
    skus = tuple(settings.get("skus") or ())
    for each in (where, condition):
        check(each, schema)
    weight = float(settings.get("weight", WEIGHT))
    return Rule(
        id=id,
        action=action,
        skus=skus,
        where=where,
        condition=condition,
        placement=settings.get("placement"),
        position=int(settings.get("position", 1)),
        weight=-weight if action is Action.BURY else weight,
        starts_at=_time(settings.get("starts_at")),
        ends_at=_time(settings.get("ends_at")),
        priority=int(settings.get("priority", PRIORITY)),
        enabled=bool(settings.get("enabled", True)),
        matches=_names(skus) if where is None else matcher(where, schema),
        suits=matcher(condition, schema) if condition else lambda _: True,
    )


def _names(skus: Sequence[str]) -> Passes:
    named = frozenset(skus)
    return lambda value_of: value_of("sku") in named


def _time(text: str | None) -> datetime | None:
    found = None if text is None else datetime.fromisoformat(text)
    if found is not None and found.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return found


def read_where(given: Mapping[str, Any] | None) -> Where | None:
    """Read a filter as a request holds it, which was checked when it was put."""
    return {name: _condition(it) for name, it in given.items()} if given else None


def _condition(given: Any) -> Condition:
    if not isinstance(given, dict):
        return Condition(any_of=_listed(given))
    named: dict[str, Any] = {word: it for word, it in given.items() if it is not None}
    parts = {"none_of" if word == "not" else word: it for word, it in named.items()}
    if "none_of" in parts:
        parts["none_of"] = _listed(parts["none_of"])
    return Condition(**parts)


def _listed(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list) else (value,)
