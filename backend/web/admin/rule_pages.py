"""The rules of merchandisers with their problems, and the placements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.access.scope import Scope
from backend.api.context import filterable, services
from backend.api.schemas.query import read_id
from backend.api.scopes import requires_scope
from backend.database.models import Product, RuleRow, utcnow
from backend.filters import Schema
from backend.merchandising import placements, rules
from backend.search import rule_preview, rule_state
from backend.search.rule_preview import RuleTrial
from backend.search.rule_state import RuleState
from backend.web.admin.comparison import ComparedRow, SheetProduct, sheet_product
from backend.web.admin.filter_lines import write_filter
from backend.web.admin.sections import blueprint, show


@blueprint.get("/rules")
@requires_scope(Scope.ADMIN)
def show_rules() -> str:
    """Show the rules, each with its state and its problems, and the placements."""
    with services().db.read() as session:
        found = _described(session, rules.listed(session))
        placed = [placements.describe(one) for one in placements.listed(session)]
    return show("rules.html", rules=found, placements=placed)


@blueprint.get("/rules/<id>/preview")
@requires_scope(Scope.ADMIN)
def show_rule_preview(id: str) -> str:
    """Show what one rule changes: of some drawn products, the lists without it and with it."""
    found = services()
    with found.db.read() as session:
        row = rules.read(session, read_id(id))
        [rule] = _described(session, [row])
    acts = rule["state"] == RuleState.ACTIVE
    tried = (
        RuleTrial(without=[row.id])
        if acts
        else RuleTrial(candidates=[{**row.settings, "id": row.id}])
    )
    preview = rule_preview.preview(found.db, found.similar, filterable(), tried)
    names = ("after", "before") if acts else ("before", "after")  # without it, with it
    with found.db.read() as session:
        rows = as_rows(session, preview["examples"], *names)
    return show("rule_preview.html", rule=rule, acts=acts, preview=preview, rows=rows)


def _described(session: Session, rows: Sequence[RuleRow]) -> list[dict[str, Any]]:
    schema = filterable()
    found = rule_state.describe_all(session, rows, schema, now=utcnow())
    return [
        it | {name: _lines(it["settings"].get(name), schema) for name in ("filter", "condition")}
        for it in found
    ]


def _lines(given: Any, schema: Schema) -> list[str]:
    """Return a filter as the form of a rule shows it, a condition each."""
    return write_filter(given, schema).splitlines()


def as_rows(
    session: Session, examples: Sequence[Mapping[str, Any]], without: str, with_it: str
) -> list[ComparedRow]:
    """Return examples of a preview as rows of a sheet; products that are gone are left out."""
    skus = {sku for it in examples for sku in (it["sku"], *it["before"], *it["after"])}
    found = {row.sku: row for row in session.scalars(select(Product).where(Product.sku.in_(skus)))}

    def products(these: Iterable[str], others: Sequence[str]) -> list[SheetProduct]:
        return [sheet_product(found[it], is_shared=it in others) for it in these if it in found]

    return [
        ComparedRow(
            query=sheet_product(found[it["sku"]]),
            before=products(it[without], it[with_it]),
            after=products(it[with_it], it[without]),
        )
        for it in examples
        if it["sku"] in found
    ]
