"""Examples that a client names: skus with weights, of which some may not be usable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.catalogue import skus
from backend.database.models import Generation, IndexEntry, Product
from backend.events.kinds import TASTE, Kind
from backend.queue.progress import State, of_product, state_column
from backend.recommendations.history import Example, History


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """The examples that can be used, and {sku: state} of those that cannot."""

    examples: Sequence[Example]
    unresolved: Mapping[str, str]


def resolve(
    session: Session,
    generation: Generation,
    positive: Mapping[str, float],
    negative: Mapping[str, float],
) -> Resolved:
    """Find the products of {sku: weight}; a named example weighs as much as a liked product."""
    names = {skus.normalise(sku): sku for sku in (*positive, *negative)}
    if not names:
        return Resolved(examples=(), unresolved={})
    rows = {
        row.sku: row
        for row in session.execute(
            select(
                Product.sku,
                Product.id,
                Product.removed_at,
                IndexEntry.embedded_digest,
                state_column().label("state"),
            )
            .outerjoin(IndexEntry, of_product(generation.id))
            .where(Product.sku.in_(list(names)))
        )
    }
    examples, unresolved = [], {}
    for name, sku in names.items():
        row = rows.get(name)
        if row is None or row.removed_at is not None:
            unresolved[sku] = "unknown" if row is None else "removed"
        elif row.embedded_digest is None:
            unresolved[sku] = State(row.state).value
        else:
            weight = positive.get(sku, 0.0) - negative.get(sku, 0.0)
            examples.append(Example(row.id, TASTE[Kind.LIKE] * weight, Kind.LIKE))
    return Resolved(examples=[it for it in examples if it.weight], unresolved=unresolved)


def together_with(history: History, examples: Sequence[Example]) -> History:
    """Return a history with named examples added; a named one counts instead of what was done."""
    named = {it.product_id for it in examples}
    others = [it for it in history.examples if it.product_id not in named]
    return History(
        examples=sorted([*examples, *others], key=lambda it: -abs(it.weight)),
        seen=history.seen,
        bought=history.bought,
    )
