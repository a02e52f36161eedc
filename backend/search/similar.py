"""The queries of shoppers: what looks like this product, or like this image?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Final, ParamSpec

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend import generations
from backend.catalogue import image_vectors
from backend.catalogue.skus import is_sku, normalise
from backend.database.engine import Database
from backend.database.models import Generation, IndexEntry, Product
from backend.errors import IndexGone, NotSearchable, UnknownProduct
from backend.filters import Condition, Where
from backend.queue.progress import State, of_product, states
from backend.queue.requesting import FORMER_LIFE
from backend.search.recall_monitor import Search
from backend.vectors import Hit, Vector, VectorIndex

Asked = ParamSpec("Asked")

SLACK: Final = 8
"""Neighbours requested beyond the limit: they replace hits that SQL knows to be removed."""

MAX_LIMIT: Final = 100


@dataclass(frozen=True, kw_only=True)
class Query:
    """The options of a query for a product or an image. `exclude` holds skus."""

    limit: int = 10
    where: Where = field(default_factory=dict)
    exclude: Sequence[str] = ()
    min_score: float | None = None


@dataclass(frozen=True)
class Neighbour:
    """A product that looks like the query; `score` is the cosine similarity."""

    product: Product
    score: float


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Neighbours, best first, and the one generation that they come from."""

    items: list[Neighbour]
    generation: Generation
    meta: dict[str, Any]
    search: Search


def _repeat_if_gone(ask: Callable[Asked, Answer]) -> Callable[Asked, Answer]:
    """Repeat a query, reading the active generation again, if its index was dropped meanwhile."""

    @wraps(ask)
    def repeat(*args: Asked.args, **options: Asked.kwargs) -> Answer:
        try:
            return ask(*args, **options)
        except IndexGone:
            return ask(*args, **options)

    return repeat


@_repeat_if_gone
def similar_to_product(
    db: Database, index_of: Callable[[Generation], VectorIndex], sku: str, query: Query
) -> Answer:
    """Return what looks like a product of the catalogue, the product itself left out.

    The vector is read from SQL, so no network runs. Raises UnknownProduct, NotSearchable when the
    product has no vector yet (with its state and reason), NoGeneration, InvalidFilter.
    """
    with db.read() as session:
        generation = generations.active(session)
        product = (
            session.scalar(
                select(Product).where(Product.sku == normalise(sku), Product.removed_at.is_(None))
            )
            if is_sku(normalise(sku))
            else None
        )
        if product is None:
            raise UnknownProduct(f"no product has the sku {sku!r}")
        vector, state = _vector_of(session, generation, product)
        exclude = [product.id, *_ids(session, query.exclude)]
    answer = _search(db, generation, index_of(generation), vector, query, exclude)
    answer.meta["query_state"] = state.value
    return answer


@_repeat_if_gone
def similar_to_image(
    db: Database,
    index_of: Callable[[Generation], VectorIndex],
    encode: Callable[[Generation, bytes], Vector],
    image: bytes,
    query: Query,
) -> Answer:
    """Return what looks like an image, given as the bytes of an untrusted file.

    Raises ModelMismatch when the encoder is not the one that the active generation was built with:
    its vector would give a wrong answer. Also raises what `encode` raises, NoGeneration and
    InvalidFilter.
    """
    with db.read() as session:
        generation = generations.active(session)
        exclude = _ids(session, query.exclude)
    vector = encode(generation, image)
    return _search(db, generation, index_of(generation), vector, query, exclude)


def _vector_of(session: Session, generation: Generation, product: Product) -> tuple[Vector, State]:
    """Return the last good vector of a product, and the product's state."""
    state, why = states(session, generation.id, [product.id])[product.id]
    entry = session.get(IndexEntry, (generation.id, product.id))
    digest = entry.embedded_digest if entry else None
    vectors = image_vectors.load(session, generation.fingerprint, [digest] if digest else [])
    if digest is None or digest not in vectors:
        raise NotSearchable(
            f"product {product.sku!r} has no vector yet: it is {state}"
            + (f", {why}" if why else ""),
            state=state.value,
            reason=why,
        )
    return vectors[digest], state


def _ids(session: Session, skus: Sequence[str]) -> list[int]:
    """Return the ids of known skus; an unknown one excludes nothing."""
    return list(session.scalars(select(Product.id).where(Product.sku.in_(skus)))) if skus else []


def _search(
    db: Database,
    generation: Generation,
    index: VectorIndex,
    vector: Vector,
    query: Query,
    exclude: Sequence[int],
) -> Answer:
    search = Search(
        generation=generation,
        vector=vector,
        where=query.where,
        exclude=tuple(exclude),
        mode=index.search_mode(query.where),
    )
    hits = index.nearest(
        vector,
        limit=query.limit + SLACK,
        where=query.where,
        exclude=exclude,
        min_score=query.min_score,
        mode=search.mode,
    )
    with db.read() as session:
        items = _present(session, generation.id, hits, query.where)
    meta = {
        "embedder": generation.embedder,
        "fingerprint": generation.fingerprint,
        "search_mode": search.mode.value,
    }
    return Answer(items=items[: query.limit], generation=generation, meta=meta, search=search)


def _present(
    session: Session, generation_id: int, hits: Sequence[Hit], where: Where
) -> list[Neighbour]:
    """Read the hits' products from SQL, without those removed or sold out meanwhile.

    A product that was removed and came again is left out as long as the index holds its old point.
    """
    ids = [hit.id for hit in hits]
    rows = session.execute(
        select(Product, IndexEntry.indexed_claim)
        .outerjoin(IndexEntry, of_product(generation_id))
        .where(Product.id.in_(ids))
    )
    products = {row.id: row for row, claim in rows if claim != FORMER_LIFE}
    stock = where.get("in_stock", Condition())
    return [
        Neighbour(products[hit.id], min(1.0, max(-1.0, hit.score)))
        for hit in hits
        if hit.id in products
        and products[hit.id].removed_at is None
        and (not stock.any_of or products[hit.id].in_stock in stock.any_of)
        and products[hit.id].in_stock not in stock.none_of
    ]
