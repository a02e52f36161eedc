"""What SQL says of the products of a range of ids, to be compared with their points."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, and_, select, true
from sqlalchemy.orm import Session

from backend.catalogue import image_vectors
from backend.database.models import Generation, ImageVector, IndexEntry, Product
from backend.indexing.drift import ProductState
from backend.queue.progress import of_product


def read_states(
    session: Session, generation: Generation, low: int, high: int | None
) -> dict[int, ProductState]:
    """Return the states of the products with `low` <= id < `high` in a generation, by id."""
    found = session.execute(_select_states(generation, low, high)).all()
    further = {digest for row in found for digest in row[-1] or ()}
    known = image_vectors.known(session, generation.fingerprint, further) if further else set()
    states = {}
    for product, has_entry, at_rest, quarantined, claim, digest, stored, more in found:
        states[product.id] = ProductState(
            product=product,
            known=has_entry,
            at_rest=at_rest,
            quarantined=quarantined,
            indexed_claim=claim,
            digests=(digest, *(more or ())),
            stored=(stored, *(each in known for each in more or ())),
        )
    return states


def _select_states(generation: Generation, low: int, high: int | None) -> Select[*tuple[Any, ...]]:
    return (
        select(
            Product,
            IndexEntry.product_id.is_not(None),
            IndexEntry.due_at.is_(None),
            IndexEntry.last_error.is_not(None),
            IndexEntry.indexed_claim,
            IndexEntry.embedded_digest,
            ImageVector.image_digest.is_not(None),
            IndexEntry.more_digests,
        )
        .outerjoin(IndexEntry, of_product(generation.id))
        .outerjoin(
            ImageVector,
            and_(
                ImageVector.image_digest == IndexEntry.embedded_digest,
                ImageVector.fingerprint == generation.fingerprint,
            ),
        )
        .where(Product.id >= low, true() if high is None else Product.id < high)
    )
