"""The queries of shoppers: what looks like this product, or like this image?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial, wraps
from typing import Any, Final, ParamSpec

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend import generations
from backend.catalogue import image_vectors, product_images
from backend.catalogue.draft_images import ImageRef
from backend.catalogue.skus import is_sku, normalise
from backend.database.engine import Database
from backend.database.models import Generation, IndexEntry, Product
from backend.errors import IndexGone, NoImage, NotSearchable, UnknownProduct
from backend.filters import Schema, Where
from backend.filters.matching import matcher
from backend.queue.progress import State, image_errors, of_product, state_column, states
from backend.queue.requesting import FORMER_LIFE
from backend.search.nearest_products import MOST_TIMES
from backend.search.recall_monitor import Search
from backend.vectors import Hit, Vector, VectorIndex
from backend.vectors.image_points import point_ids, product_of, slot_of

Asked = ParamSpec("Asked")

SLACK: Final = 8
"""Neighbours requested beyond the limit: they replace hits that do not pass any more."""

REFILLS: Final = 3
"""How often more neighbours are requested when those do not suffice, each time GROWTH times as
many: only while the index lags behind a change of many products."""

GROWTH: Final = 4

MAX_LIMIT: Final = 100


@dataclass(frozen=True, kw_only=True)
class Query:
    """The options of a query for a product or an image. `exclude` holds skus.

    `schema` is what `where` was checked with. `image` is the number of the product's image that
    is compared, from 1; None: as the first, and if that has no vector, the first that has one.
    """

    limit: int = 10
    where: Where = field(default_factory=dict)
    schema: Schema = field(default_factory=dict)
    exclude: Sequence[str] = ()
    min_score: float | None = None
    image: int | None = None


@dataclass(frozen=True)
class Neighbour:
    """A product that looks like the query, as SQL has it; `score` is the cosine similarity."""

    product: Product
    state: State
    reason: str | None  # of its quarantine
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

    The vector is read from SQL, so no network runs. Raises UnknownProduct, NoImage when the product
    has no image of the number that is asked for, NotSearchable when it has no vector yet (with its
    state and reason), NoGeneration, InvalidFilter.
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
        vector, state = _vector_of(session, generation, product, query.image)
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


def _vector_of(
    session: Session, generation: Generation, product: Product, image: int | None
) -> tuple[Vector, State]:
    """Return the last good vector of a product, or that of one image, and the product's state."""
    state, why = states(session, generation.id, [product.id])[product.id]
    if image is None or (image == 1 and not product.more_images):
        entry = session.get(IndexEntry, (generation.id, product.id))
        digest, name = entry.embedded_digest if entry else None, "it"
    else:
        asked = _image_of(session, product, image)
        digest, name = asked.digest, f"its image {image}"
        errors = image_errors(session, generation.id, [product.id]).get(product.id, {})
        if error := errors.get(asked.uri or ""):
            state, why = State.QUARANTINED, error
    vectors = image_vectors.load(session, generation.fingerprint, [digest] if digest else [])
    if digest is None or digest not in vectors:
        raise NotSearchable(
            f"product {product.sku!r} has no vector yet: {name} is {state}"
            + (f", {why}" if why else ""),
            state=state.value,
            reason=why,
        )
    return vectors[digest], state


def _image_of(session: Session, product: Product, number: int) -> ImageRef:
    images = product_images.load_all(session, [product])[product.id]
    if not 1 <= number <= len(images):
        raise NoImage(f"product {product.sku!r} has {len(images)} images, numbered from 1")
    return images[number - 1]


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
    items, lags = _current(db, index, search, query)
    meta = {
        "embedder": generation.embedder,
        "fingerprint": generation.fingerprint,
        "search_mode": search.mode.value,
        "index_lags": lags,
    }
    return Answer(items=items, generation=generation, meta=meta, search=search)


def _current(
    db: Database, index: VectorIndex, search: Search, query: Query
) -> tuple[list[Neighbour], bool]:
    """Return neighbours that pass the filter now, and whether fewer came than the index has.

    Hits that do not pass any more are replaced by further ones.
    """
    passes = matcher(query.where, query.schema) if query.where else None
    images = search.generation.most_images or 1
    items: dict[int, Neighbour] = {}
    seen: dict[int, None] = {}  # products, in the order in which they were found
    wanted = query.limit + SLACK
    for _ in range(1 + REFILLS):
        points = wanted * min(images, MOST_TIMES)
        hits = index.nearest(
            search.vector,
            limit=points,
            where=query.where,
            exclude=point_ids([*search.exclude, *seen], images),
            min_score=query.min_score,
            mode=search.mode,
            payloads=False,
        )
        seen |= dict.fromkeys(product_of(hit.id) for hit in hits)
        with db.read() as session:
            found = _read(session, search.generation, hits)
        for one in found:
            if not passes or passes(partial(getattr, one.product)):
                items.setdefault(one.product.id, one)  # by its nearest image
        if len(items) >= query.limit or len(hits) < points:
            break
        wanted *= GROWTH
    return list(items.values())[: query.limit], len(items) < min(query.limit, len(seen))


def _read(session: Session, generation: Generation, hits: Sequence[Hit]) -> list[Neighbour]:
    """Read all that an answer shows of the hits' products, in one query.

    Removed products are left out, and points of images that their products have no more: a worker
    that is killed at the worst moment leaves one, until it is reconciled.
    """
    ids = {product_of(hit.id) for hit in hits}
    rows = session.execute(
        select(Product, state_column(), IndexEntry.last_error, IndexEntry.more_digests)
        .add_columns(IndexEntry.indexed_claim)
        .outerjoin(IndexEntry, of_product(generation.id))
        .where(Product.id.in_(ids), Product.removed_at.is_(None))
    )
    found = {row[0].id: row for row in rows}
    items = []
    for hit in hits:
        if (row := found.get(product_of(hit.id))) is None:
            continue
        product, state, reason, more, claim = row
        if claim == FORMER_LIFE:  # removed, and begun anew: the point is still the old one
            continue
        if slot_of(hit.id) <= len(more or ()):
            why = reason if state == State.QUARANTINED else None
            score = min(1.0, max(-1.0, hit.score))
            items.append(Neighbour(product, State(state), why, score))
    return items
