"""Whether rules act, and what is wrong with them: what an operator sees of each.

A rule with a problem never fails a query. It does what is left of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.catalogue import filter_sql
from backend.database.models import ACTIVE, Generation, IndexEntry, Placement, Product, RuleRow
from backend.errors import InvalidFilter
from backend.filters import Schema, Where
from backend.filters.matching import matcher
from backend.merchandising import rules
from backend.merchandising.rule_set import Action, Rule, RuleSet, read_where

MOST_SHOWN: Final = 20
"""Problems that are shown of one rule."""


class RuleState(StrEnum):
    """Whether a rule acts now."""

    ACTIVE = "active"
    SCHEDULED = "scheduled"
    EXPIRED = "expired"
    DISABLED = "disabled"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class RuleProblem:
    """Something that is wrong with a rule; `sku` is the product that it is about."""

    code: str
    detail: str
    sku: str | None = None

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {"code": self.code, "detail": self.detail, "sku": self.sku}


@dataclass(frozen=True)
class _Known:
    """A product that a rule names."""

    row: Product
    is_indexed: bool

    def value_of(self, name: str) -> Any:
        return getattr(self.row, name)


def describe_all(
    session: Session, rows: Sequence[RuleRow], schema: Schema, *, now: datetime
) -> list[dict[str, Any]]:
    """Return rules as JSON, with their states and problems."""
    settings = {row.id: row.settings for row in rules.listed(session)}
    found = RuleSet.of({row.id: row.settings for row in rows} | settings, schema)
    by_id = {rule.id: rule for rule in found.rules}
    wanted = [by_id[row.id] for row in rows if row.id in by_id]
    problems = _Checks(session, found, schema, now).of_all(wanted)
    described = []
    for row in rows:
        rule = by_id.get(row.id)
        own = problems[row.id] if rule else [RuleProblem("unreadable", found.faults[row.id])]
        shown = {
            "state": _state(rule, now).value,
            "problems": [it.document() for it in own[:MOST_SHOWN]],
        }
        described.append(rules.describe(row) | shown)
    return described


def problems_of(
    session: Session, wanted: Sequence[Rule], among: RuleSet, schema: Schema, *, now: datetime
) -> list[list[RuleProblem]]:
    """Return what is wrong with each rule, stored or not, where all of `among` act."""
    found = _Checks(session, among, schema, now).of_all(wanted)
    return [found[rule.id][:MOST_SHOWN] for rule in wanted]


def _state(rule: Rule | None, now: datetime) -> RuleState:
    if rule is None:
        return RuleState.UNREADABLE
    if not rule.enabled:
        return RuleState.DISABLED
    if rule.is_over(now):
        return RuleState.EXPIRED
    has_begun = rule.starts_at is None or rule.starts_at <= now
    return RuleState.ACTIVE if has_begun else RuleState.SCHEDULED


class _Checks:
    """Compares rules with products, placements and each other."""

    def __init__(self, session: Session, all_: RuleSet, schema: Schema, now: datetime) -> None:
        self._session = session
        self._all = [it for it in all_.rules if it.enabled and not it.is_over(now)]
        self._schema = schema
        self._now = now
        placements = session.execute(select(Placement.name, Placement.settings))
        self._placements = {row.name: row.settings for row in placements}

    def of_all(self, wanted: Sequence[Rule]) -> Mapping[int, list[RuleProblem]]:
        known = self._read({sku for rule in wanted for sku in rule.skus})
        return {rule.id: list(self._of(rule, known)) for rule in wanted}

    def _read(self, skus: set[str]) -> dict[str, _Known]:
        """Read products by skus, removed ones left out."""
        found: dict[str, _Known] = {}
        ordered = sorted(skus)
        for start in range(0, len(ordered), 1000):
            query = (
                select(Product, IndexEntry.indexed_claim)
                .select_from(Product)
                .outerjoin(Generation, Generation.state == ACTIVE)
                .outerjoin(
                    IndexEntry,
                    (IndexEntry.product_id == Product.id)
                    & (IndexEntry.generation_id == Generation.id),
                )
                .where(Product.sku.in_(ordered[start : start + 1000]), Product.removed_at.is_(None))
            )
            for product, claim in self._session.execute(query):
                found[product.sku] = _Known(product, is_indexed=bool(claim))
        return found

    def _of(self, rule: Rule, known: Mapping[str, _Known]) -> Iterator[RuleProblem]:
        if rule.is_over(self._now):
            yield RuleProblem("expired", f"its period ended at {rule.ends_at}")
        if rule.placement is not None and rule.placement not in self._placements:
            yield RuleProblem("unknown-placement", f"there is no placement {rule.placement!r}")
        yield from self._of_filters(rule)
        for sku in rule.skus:
            product = known.get(sku)
            if product is None:
                yield RuleProblem("unknown-product", "no product has this sku", sku)
            elif rule.action is Action.PIN:
                yield from self._of_pinned(rule, sku, product)
        if rule.action is Action.PIN:
            yield from self._of_position(rule)

    def _of_filters(self, rule: Rule) -> Iterator[RuleProblem]:
        for what, where in (("filter", rule.where), ("condition", rule.condition)):
            if where and not self._finds_any(where):
                yield RuleProblem("no-match", f"no product passes its {what}")

    def _finds_any(self, where: Where) -> bool:
        try:
            passes = filter_sql.conditions(self._session, where)
        except InvalidFilter:  # of a text that no product can hold
            return False
        query = select(Product.id).where(Product.removed_at.is_(None), *passes).limit(1)
        return self._session.scalar(query) is not None

    def _of_pinned(self, rule: Rule, sku: str, product: _Known) -> Iterator[RuleProblem]:
        if not product.row.in_stock:
            yield RuleProblem("sold-out", "a product that is sold out is not pinned", sku)
        if not product.is_indexed:
            yield RuleProblem("not-indexed", "it has no vector in the index yet", sku)
        if (where := self._filter_of_placement(rule)) and not matcher(where, self._schema)(
            product.value_of
        ):
            detail = f"it does not pass the filter of the placement {rule.placement}"
            yield RuleProblem("filtered-out", detail, sku)
        for other in self._all:
            is_hiding = other.action is Action.HIDE and _covers(other, rule)
            if is_hiding and other.matches(product.value_of):
                yield RuleProblem("hidden", f"rule {other.id} hides it", sku)

    def _filter_of_placement(self, rule: Rule) -> Where | None:
        settings = self._placements.get(rule.placement or "", {})
        return read_where(settings.get("filter"))

    def _of_position(self, rule: Rule) -> Iterator[RuleProblem]:
        own = _positions(rule)
        for other in self._all:
            if other.action is not Action.PIN or other.order >= rule.order:
                continue
            if own & _positions(other) and _meets(other, rule):
                taken = min(own & _positions(other))
                yield RuleProblem(
                    "position-taken", f"rule {other.id} goes first at position {taken}"
                )


def _positions(rule: Rule) -> set[int]:
    return set(range(rule.position, rule.position + max(1, len(rule.skus))))


def _covers(one: Rule, other: Rule) -> bool:
    """Tell whether a rule acts on every list that another one acts on."""
    return (
        one.placement in (None, other.placement)
        and one.condition in (None, other.condition)
        and _meet_in_time(one, other)
    )


def _meets(one: Rule, other: Rule) -> bool:
    """Tell whether two rules act on the same lists, as far as that can be known."""
    placed = None in (one.placement, other.placement) or one.placement == other.placement
    alike = None in (one.condition, other.condition) or one.condition == other.condition
    return placed and alike and _meet_in_time(one, other)


def _meet_in_time(one: Rule, other: Rule) -> bool:
    def begins_before_end(first: Rule, second: Rule) -> bool:
        return not (first.starts_at and second.ends_at) or first.starts_at < second.ends_at

    return begins_before_end(one, other) and begins_before_end(other, one)
