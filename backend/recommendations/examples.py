"""Examples that a client names: skus with weights, of which some may not be usable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.catalogue import image_vectors, skus
from backend.database.models import Generation, IndexEntry, Product
from backend.events.kinds import TASTE, Kind
from backend.queue.progress import State, of_product, state_column
from backend.recommendations.history import Example, History
from backend.vectors import Vector


@dataclass(frozen=True)
class WaitingExample:
    """A named product whose image is still to be embedded, and what it is as an example."""

    sku: str
    image_uri: str
    example: Example


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """The examples that can be used, and {sku: state} of those that cannot.

    Those that wait are among the latter. `vectors` are those of pending products, by id, whose
    image has been embedded for another product.
    """

    examples: Sequence[Example]
    unresolved: Mapping[str, str]
    waiting: Sequence[WaitingExample] = ()
    vectors: Mapping[int, Vector]


NONE_NAMED: Final = Resolved(examples=(), unresolved={}, vectors={})


def resolve(
    session: Session,
    generation: Generation,
    positive: Mapping[str, float],
    negative: Mapping[str, float],
) -> Resolved:
    """Find the products of {sku: weight}; a named example weighs as much as a liked product."""
    names = {skus.normalise(sku): sku for sku in (*positive, *negative)}
    if not names:
        return NONE_NAMED
    rows = _read(session, generation, list(names))
    stored = _stored_vectors(session, generation, list(rows.values()))
    examples, unresolved, waiting = list[Example](), dict[str, str](), list[WaitingExample]()
    for name, sku in names.items():
        row = rows.get(name)
        if row is None or row.removed_at is not None:
            unresolved[sku] = "unknown" if row is None else "removed"
            continue
        weight = positive.get(sku, 0.0) - negative.get(sku, 0.0)
        example = Example(row.id, TASTE[Kind.LIKE] * weight, Kind.LIKE)
        if row.embedded_digest is not None or row.id in stored:
            examples.append(example)
            continue
        unresolved[sku] = State(row.state).value
        if _may_be_embedded(row) and weight:
            waiting.append(WaitingExample(sku, row.image_uri, example))
    return Resolved(
        examples=[it for it in examples if it.weight],
        unresolved=unresolved,
        waiting=waiting,
        vectors=stored,
    )


def _read(session: Session, generation: Generation, names: Sequence[str]) -> dict[str, Any]:
    """Return what is known of the products with these skus."""
    columns = (
        *(Product.sku, Product.id, Product.removed_at, Product.image_uri, Product.image_digest),
        *(IndexEntry.embedded_digest, state_column().label("state")),
    )
    statement = (
        select(*columns)
        .outerjoin(IndexEntry, of_product(generation.id))
        .where(Product.sku.in_(names))
    )
    return {row.sku: row for row in session.execute(statement)}


def _may_be_embedded(row: Any) -> bool:
    return row.state == State.PENDING and row.image_uri is not None


def _stored_vectors(
    session: Session, generation: Generation, rows: Sequence[Any]
) -> dict[int, Vector]:
    """Return the vectors of pending products whose image is known to be that of others."""
    digests = {
        row.id: row.image_digest
        for row in rows
        if row.embedded_digest is None and row.image_digest is not None and _may_be_embedded(row)
    }
    if not digests:
        return {}
    found = image_vectors.load(session, generation.fingerprint, digests.values())
    return {id_: found[digest] for id_, digest in digests.items() if digest in found}


def together_with(history: History, examples: Sequence[Example]) -> History:
    """Return a history with named examples added; a named one counts instead of what was done."""
    named = {it.product_id for it in examples}
    others = [it for it in history.examples if it.product_id not in named]
    return History(
        examples=sorted([*examples, *others], key=lambda it: -abs(it.weight)),
        seen=history.seen,
        bought=history.bought,
    )
