"""The queries of shoppers: what looks like this product, or like this image?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

from backend.database.engine import Database
from backend.database.models import Generation
from backend.database.reader import Reader
from backend.errors import IndexGone, LookalikeError
from backend.filters import Schema
from backend.search.answering import ListSearch
from backend.search.collecting_rounds import collect
from backend.search.list_rules import ListRules
from backend.search.paging import Basis, Position
from backend.search.pinning import Candidates
from backend.search.query import Answer, Query
from backend.search.query_product import (
    ActiveGeneration,
    QueryProduct,
    read_again,
    read_each,
    read_others,
    read_product,
)
from backend.search.query_text import TextVector
from backend.search.reasons import explain_list
from backend.search.restricting import restrict, say_restricted
from backend.search.similar_batch import SimilarBatch
from backend.search.weighing import Weighing
from backend.vectors import Vector, VectorIndex

Found = TypeVar("Found")


class SimilarProducts:
    """Answers the queries of one process. Safe to call from several threads.

    `index_of` may raise IndexGone, as an index may: a query whose index was dropped while it ran is
    asked once more, of the generation that is active then. `schema` is for the filters of rules.
    """

    def __init__(
        self,
        db: Database,
        index_of: Callable[[Generation], VectorIndex],
        encode_text: Callable[[Generation, str], TextVector],
        schema: Schema = MappingProxyType({}),
    ) -> None:
        self._db = db
        self._index_of = index_of
        self._weighing = Weighing(db, encode_text)
        self.active = ActiveGeneration(db)
        self.rules = ListRules(db, schema)

    def to_product(self, sku: str, query: Query) -> Answer:
        """Return what looks like a product of the catalogue, the product itself left out.

        The vector is read from SQL, so no network runs. Raises UnknownProduct, NoImage when the
        product has no image of the number that is asked for, NotSearchable when it has no vector
        yet (with its state and reason), NoGeneration, InvalidFilter; for a further page also
        CursorExpired, if its generation or image is gone.
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

    def to_text(self, query: Query) -> Answer:
        """Return what looks as the text of the query says.

        Raises WordsUnavailable, NoGeneration, InvalidFilter.
        """
        return _repeat_if_gone(lambda: self._to_text(query))

    def go_on(self, query: Query) -> Answer:
        """Return a further page of what looks like an image, a text, or both.

        Raises CursorExpired, InvalidFilter.
        """
        return _repeat_if_gone(lambda: self._to_text(query))

    def to_products(self, skus: Sequence[str], query: Query) -> list[Answer | LookalikeError]:
        """Answer `to_product` for many products, in their order, or say why one has no answer.

        All answers are of one generation, that of `query.after` if it is given. Of `query`,
        `image` and `text` are not used. Raises NoGeneration, InvalidFilter and
        CursorExpired.
        """
        return _repeat_if_gone(lambda: self._to_products(skus, query))

    def _to_product(self, sku: str, query: Query) -> Answer:
        with self._db.query() as connection:
            asked = self._read(connection, sku, query)
            basis, generation, exclude = _basis_of(asked), asked.generation, asked.exclude
            query, same = restrict(query, asked.row)
            [query] = self.rules.for_products(connection, query, [asked])
            if query.text is None:
                answer = self._search(connection, generation, basis, query, exclude, asked.row)
        if query.text is not None:
            answer = self._encode_and_search(generation, basis, query, exclude, asked.row)
        answer.meta["query_state"] = asked.state._value_
        say_restricted(answer, same)
        return answer

    def _read(self, connection: Reader, sku: str, query: Query) -> QueryProduct:
        active, exclude, whole = self.active, query.exclude, self._needs_product(query)
        if (after := query.after) is not None:
            return read_again(connection, active, sku, after, exclude=exclude, whole=whole)
        if query.generation_id is not None:
            at = Position(generation_id=query.generation_id)
            _, found = read_each(
                connection, active, [sku], exclude=exclude, position=at, whole=whole
            )
            if isinstance(found[0], LookalikeError):
                raise found[0]
            return found[0]
        image = query.image
        return read_product(connection, active, sku, image=image, exclude=exclude, whole=whole)

    def _needs_product(self, query: Query) -> bool:
        """Tell whether the query product is looked at, as far as the rules are known."""
        return query.needs_product or self.rules.may_have_conditions(query)

    def _to_image(
        self, encode: Callable[[Generation, bytes], Vector], image: bytes, query: Query
    ) -> Answer:
        with self._db.query() as connection:
            generation, exclude, version = read_others(connection, self.active, query.exclude)
            query = self.rules.for_list(connection, query, generation, version)
        basis = Basis(vector=encode(generation, image))
        return self._encode_and_search(generation, basis, query, exclude)

    def _to_text(self, query: Query) -> Answer:
        with self._db.query() as connection:
            generation, exclude, version = read_others(
                connection, self.active, query.exclude, query.after
            )
            query = self.rules.for_list(connection, query, generation, version)
        return self._encode_and_search(generation, Basis(), query, exclude)

    def _encode_and_search(
        self,
        generation: Generation,
        basis: Basis,
        query: Query,
        exclude: Sequence[int],
        row: Any = None,
    ) -> Answer:
        """Encode the text, if there is one, while no connection is held; then search."""
        if query.after is None:
            basis = self._weighing.with_text(generation, basis, query)
        with self._db.query() as connection:
            return self._search(connection, generation, basis, query, exclude, row)

    def _search(
        self,
        connection: Reader,
        generation: Generation,
        basis: Basis,
        query: Query,
        exclude: Sequence[int],
        row: Any = None,
    ) -> Answer:
        """Return what is near; `row` is that of the query product, for an answer with reasons."""
        after = query.after or Position(generation_id=generation.id, basis=basis)
        if after.basis is not None and after.basis.vector is not None:
            basis = after.basis
        weighed = self._weighing.weigh(generation, query, basis.vector, basis.lengths)
        index = self._index_of(generation)
        search = ListSearch(connection, index, generation, weighed, query, exclude)
        search.read_taken_groups()
        if query.ruling.pins:
            search.find_pins(Candidates(connection, index, generation, images=query.shows_images))
        mode = index.search_mode(query.where)
        found = search.begin(mode, chosen_by=query.chosen_by, walk=search.walk)
        images, digests = query.shows_images, query.needs_vectors
        rows: dict[int, Any] = {}
        collect(connection, index, [found], rows, images=images, digests=digests)
        answer = search.finish(found)
        if query.explain:
            explain_list(
                connection,
                index,
                answer,
                query,
                about=row,
                nearest=found.nearest,
                walked=found.walked,
                known=found.rows_of(rows),
            )
        if answer.has_more:
            answer.position = after.after([item.product.id for item in answer.items])
        return answer

    def _to_products(self, skus: Sequence[str], query: Query) -> list[Answer | LookalikeError]:
        with self._db.query() as connection:
            generation, asked = read_each(
                connection,
                self.active,
                skus,
                exclude=query.exclude,
                position=query.after,
                whole=self._needs_product(query),
            )
            batch = SimilarBatch(
                connection=connection,
                index=self._index_of(generation),
                query=query,
                weighing=self._weighing,
                rules=self.rules,
            )
            return batch.answer(asked)


def _repeat_if_gone(ask: Callable[[], Found]) -> Found:
    """Repeat a query, reading the active generation again, if its index was dropped meanwhile."""
    try:
        return ask()
    except IndexGone:
        return ask()


def _basis_of(asked: QueryProduct) -> Basis:
    vector = asked.query_vector() if asked.vector else None
    return Basis(vector=vector, digest=asked.digest or None)
