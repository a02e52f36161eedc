"""The vector of a query: of an image, of words, or of both, with the weight of colour."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from backend import generations
from backend.database.engine import Database
from backend.database.models import Generation
from backend.embedders import Block
from backend.search.colour_weight import WeightedQuery, weigh
from backend.search.paging import Basis
from backend.search.query import Query
from backend.search.query_text import TextVector
from backend.vectors import Vector


class Weighing:
    """Makes the vectors of the queries of one process. Safe to call from several threads."""

    def __init__(self, db: Database, encode_text: Callable[[Generation, str], TextVector]) -> None:
        self._db = db
        self._encode_text = encode_text

    def with_text(self, generation: Generation, basis: Basis, query: Query) -> Basis:
        """Return what is searched by: the vector of the image, of the text, or of both."""
        if query.text is None:
            return basis
        blocks, lengths = self._blocks(generation, query), None
        said = self._encode_text(generation, query.text)
        if set(said.lengths) == {block.name for block in blocks or ()}:
            lengths = said.lengths or None
        if basis.vector is None:
            return Basis(vector=said.vector, lengths=lengths)
        weight = np.float32(query.text_weight)
        vector = (1 - weight) * basis.vector + weight * said.vector
        return Basis(vector=vector, lengths=lengths)

    def weigh(
        self,
        generation: Generation,
        query: Query,
        vector: Vector | None,
        lengths: Mapping[str, float] | None = None,
    ) -> WeightedQuery:
        """Return a vector with the weight of colour that the query asks for.

        `lengths` are as `colour_weight.weigh` takes them. Raises ValueError without a vector.
        """
        if vector is None:
            raise ValueError("a query needs an image or a text")
        blocks = self._blocks(generation, query)
        return weigh(vector, blocks, colour=query.colour, lengths=lengths, parts=query.explain)

    def _blocks(self, generation: Generation, query: Query) -> tuple[Block, ...] | None:
        """Return the blocks; where they are needed and unknown, the row is read again."""
        blocks = generations.blocks_of(generation)
        if blocks is None and (query.explain or query.text or query.colour is not None):
            with self._db.read() as session:
                return generations.blocks_of(generations.by_id(session, generation.id))
        return blocks
