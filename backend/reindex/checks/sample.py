"""Choose the products that a generation is checked with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.catalogue import image_vectors
from backend.database.engine import Database
from backend.database.models import Generation, IndexEntry, Product
from backend.reindex.checks.verdict import Side
from backend.vectors import Vector

CATEGORIES: Final = ("article_type", "sub_category", "master_category")
"""Categories of products, the finest first; the first that half of the sample has is used."""

SEED: Final = 20_220_601
DRAWN: Final = 30_000
"""Ids that the sample is taken from, since some products are removed; close to the largest number
of parameters in a statement."""


@dataclass(frozen=True)
class SampledProduct:
    """One product of the sample: its vector in either generation, and its category."""

    id: int
    new: Vector
    old: Vector | None
    category: str | None


def sample(
    db: Database, candidate: Side, current: Side | None, count: int
) -> tuple[list[SampledProduct], str | None]:
    """Choose products that have a vector in the candidate, and the category to judge them by."""
    with db.read() as session:
        chosen = _draw(session, candidate.generation.id, count)
        new = _vectors(session, candidate.generation, chosen)
        old = _vectors(session, current.generation, chosen) if current else {}
        products = session.execute(
            select(Product.id, *(getattr(Product, name) for name in CATEGORIES)).where(
                Product.id.in_(chosen)
            )
        ).all()
    categories = {row.id: row for row in products}
    field = _choose_category(products)
    return [
        SampledProduct(
            id_, new[id_], old.get(id_), getattr(categories[id_], field) if field else None
        )
        for id_ in chosen
        if id_ in new and id_ in categories
    ], field


def _draw(session: Session, generation_id: int, count: int) -> list[int]:
    """Draw products that the generation's index holds: the same ones in every check."""
    last = session.scalar(select(func.max(Product.id))) or 0
    drawn = Random(SEED).sample(range(1, last + 1), min(last, DRAWN))
    there = set(
        session.scalars(
            select(IndexEntry.product_id).where(
                IndexEntry.generation_id == generation_id,
                IndexEntry.indexed_claim.is_not(None),
                IndexEntry.product_id.in_(drawn),
            )
        )
    )
    return [id_ for id_ in drawn if id_ in there][:count]


def _vectors(session: Session, generation: Generation, ids: Sequence[int]) -> dict[int, Vector]:
    rows = session.execute(
        select(IndexEntry.product_id, IndexEntry.embedded_digest).where(
            IndexEntry.generation_id == generation.id, IndexEntry.product_id.in_(ids)
        )
    )
    digests = {id_: digest for id_, digest in rows if digest is not None}
    stored = image_vectors.load(session, generation.fingerprint, digests.values())
    return {id_: stored[digest] for id_, digest in digests.items() if digest in stored}


def _choose_category(products: Sequence[Any]) -> str | None:
    """Return the finest category that half of the products have, in more than one value."""
    for name in CATEGORIES:
        values = [value for row in products if (value := getattr(row, name))]
        if len(values) * 2 >= len(products) and len(set(values)) > 1:
            return name
    return None
