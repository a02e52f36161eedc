"""The queries of shoppers: what looks like this product, or like this image?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sqlalchemy import Connection

from backend import generations
from backend.database.engine import Database
from backend.database.models import Generation
from backend.embedders import Block
from backend.errors import IndexGone
from backend.filters import Schema, Where
from backend.filters.matching import matcher
from backend.search.asked import ActiveGeneration, read_others, read_product
from backend.search.dial import weigh
from backend.search.explaining import explain
from backend.search.found import Neighbour, read_products
from backend.search.nearest_products import MOST_TIMES
from backend.search.query_vectors import vector_of
from backend.search.recall_monitor import Search
from backend.vectors import Vector, VectorIndex
from backend.vectors.image_points import point_ids, product_of

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
    `shows_images` tells whether the answer needs the images of its products. `colour`, from 0 to 1,
    is how much colour counts (`search.dial`), `explain` asks for the parts of each score.
    """

    limit: int = 10
    where: Where = field(default_factory=dict)
    schema: Schema = field(default_factory=dict)
    exclude: Sequence[str] = ()
    min_score: float | None = None
    image: int | None = None
    shows_images: bool = True
    colour: float | None = None
    explain: bool = False


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Neighbours, best first, and the one generation that they come from."""

    items: list[Neighbour]
    generation: Generation
    meta: dict[str, Any]
    search: Search


class SimilarProducts:
    """Answers the queries of one process. Safe to call from several threads.

    `index_of` may raise IndexGone, as an index may: a query whose index was dropped while it ran is
    asked once more, of the generation that is active then.
    """

    def __init__(self, db: Database, index_of: Callable[[Generation], VectorIndex]) -> None:
        self._db = db
        self._index_of = index_of
        self.active = ActiveGeneration(db)

    def to_product(self, sku: str, query: Query) -> Answer:
        """Return what looks like a product of the catalogue, the product itself left out.

        The vector is read from SQL, so no network runs. Raises UnknownProduct, NoImage when the
        product has no image of the number that is asked for, NotSearchable when it has no vector
        yet (with its state and reason), NoGeneration, InvalidFilter.
        """
        return _repeat_if_gone(lambda: self._to_product(sku, query))

    def to_image(
        self, encode: Callable[[Generation, bytes], Vector], image: bytes, query: Query
    ) -> Answer:
        """Return what looks like an image, given as the bytes of an untrusted file.

        Raises ModelMismatch when the encoder is not the one that the active generation was built
        with: its vector would give a wrong answer. Also raises what `encode` raises, NoGeneration
        and InvalidFilter.
        """
        return _repeat_if_gone(lambda: self._to_image(encode, image, query))

    def _to_product(self, sku: str, query: Query) -> Answer:
        with self._db.query() as connection:
            asked = read_product(
                connection, self.active, sku, image=query.image, exclude=query.exclude
            )
            vector = vector_of(asked)
            answer = self._search(connection, asked.generation, vector, query, asked.exclude)
        answer.meta["query_state"] = asked.state.value
        return answer

    def _to_image(
        self, encode: Callable[[Generation, bytes], Vector], image: bytes, query: Query
    ) -> Answer:
        with self._db.query() as connection:
            generation, exclude = read_others(connection, self.active, query.exclude)
        vector = encode(generation, image)
        with self._db.query() as connection:
            return self._search(connection, generation, vector, query, exclude)

    def _search(
        self,
        connection: Connection,
        generation: Generation,
        vector: Vector,
        query: Query,
        exclude: Sequence[int],
    ) -> Answer:
        index = self._index_of(generation)
        weighed = weigh(vector, self._blocks(generation, query), colour=query.colour)
        search = Search(
            generation=generation,
            vector=weighed.asked,
            where=query.where,
            exclude=tuple(exclude),
            mode=index.search_mode(query.where),
        )
        least = weighed.cosine_of(query.min_score)
        items, lags = _current(connection, index, search, replace(query, min_score=least))
        items = [replace(item, score=weighed.score_of(item.score)) for item in items]
        if query.explain:
            items = explain(index, weighed, items)
        meta = {
            "embedder": generation.embedder,
            "fingerprint": generation.fingerprint,
            "search_mode": search.mode.value,
            "index_lags": lags,
            "colour": weighed.colour,
        }
        return Answer(items=items, generation=generation, meta=meta, search=search)

    def _blocks(self, generation: Generation, query: Query) -> tuple[Block, ...] | None:
        """Return the blocks; where they are needed and unknown, the row is read again."""
        blocks = generations.blocks_of(generation)
        if blocks is None and (query.explain or query.colour is not None):
            with self._db.read() as session:
                return generations.blocks_of(generations.by_id(session, generation.id))
        return blocks


def _repeat_if_gone(ask: Callable[[], Answer]) -> Answer:
    """Repeat a query, reading the active generation again, if its index was dropped meanwhile."""
    try:
        return ask()
    except IndexGone:
        return ask()


def _current(
    connection: Connection, index: VectorIndex, search: Search, query: Query
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
        found = read_products(connection, search.generation.id, hits, images=query.shows_images)
        for one in found:
            if not passes or passes(one.value_of):
                items.setdefault(one.product.id, one)  # by its nearest image
            if len(items) == query.limit:
                break
        if len(items) >= query.limit or len(hits) < points:
            break
        wanted *= GROWTH
    return list(items.values()), len(items) < min(query.limit, len(seen))
