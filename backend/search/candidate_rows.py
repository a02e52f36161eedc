"""What candidates are chosen by: some columns of the many products that a list is chosen from.

A list that is grouped or put into another order has some hundred candidates, of which ten are
shown. So the candidates' rows hold what is compared, and those of the chosen ones are read whole.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from sys import intern
from typing import Any, Final

from backend.database.models import Generation
from backend.database.reader import Reader
from backend.queue.progress import State
from backend.search import statements
from backend.search.found import Neighbour, Rows, ShownImage, add_images
from backend.search.shaping import FIELDS
from backend.search.statements import read_json
from backend.vectors import Hit
from backend.vectors.image_points import STRIDE

_INDEXED, _QUARANTINED = State.INDEXED.value, State.QUARANTINED.value

CATEGORIES: Final = ("article_type", "sub_category", "master_category")
"""The first of these that a product has is its category."""

USUAL: Final = frozenset((*FIELDS, "year", "price", "in_stock"))
"""What is read also where it is not compared, if rows are kept: so most lists share them."""


@dataclass(frozen=True)
class CandidateColumns:
    """What is read of candidates: `columns` as `statements.candidates`, and with `digests` that."""

    columns: frozenset[str]
    digests: bool = False

    @cached_property
    def _kept_columns(self) -> frozenset[str]:
        return self.columns | USUAL

    def read(
        self, connection: Reader, generation: Generation, ids: Collection[int]
    ) -> dict[int, Any]:
        """Return the rows of some products, by id: those that are unchanged as they were read."""
        columns, several = self._kept_columns, bool(generation.most_images)
        kept = connection.unchanged((CandidateColumns, columns, generation.id, several))
        if kept is None:
            return self._read(connection, generation, self.columns, ids, digests=self.digests)
        found = {id_: row for id_ in ids if (row := kept.get(id_)) is not None}
        if len(found) < len(ids):
            unread = [id_ for id_ in ids if id_ not in found]
            read = self._read(connection, generation, columns, unread, digests=True)
            read = {id_: _sharing_texts(row) for id_, row in read.items()}
            connection.keep(kept, read)
            found |= read
        return found

    def _read(
        self,
        connection: Reader,
        generation: Generation,
        columns: frozenset[str],
        ids: Collection[int],
        *,
        digests: bool,
    ) -> dict[int, Any]:
        statement = statements.candidates(
            columns, digests=digests, several=bool(generation.most_images)
        )
        named = {"generation_id": generation.id, "ids": ids}
        return {row.id: row for row in connection.rows(statement, named, at_once=True)}


def _sharing_texts(row: Any) -> Any:
    """Return the row with texts that are the same objects as equal ones of other rows.

    A list compares some hundred rows by few values: these stay in the processor's cache.
    """
    return row._make([intern(it) if type(it) is str else it for it in row])


def with_rows(hits: Sequence[Hit], rows: Mapping[int, Any]) -> tuple[list[Hit], list[Any]]:
    """Return the hits whose products have rows, in order, and these rows.

    Points of images that their products have no more are left out, as `found.neighbours` does.
    """
    firsts = [rows.get(hit[0]) for hit in hits]
    if all(firsts):  # none is a further image, or removed
        return list(hits), firsts
    there, found = list[Hit](), list[Any]()
    for hit in hits:
        id_ = hit[0]
        row = rows.get(id_ if id_ < STRIDE else id_ % STRIDE)
        if row and (id_ < STRIDE or _has_image(row, id_ // STRIDE)):
            there.append(hit)
            found.append(row)
    return there, found


def _has_image(row: Any, slot: int) -> bool:
    return slot <= len(read_json(getattr(row, "more_digests", None)) or ())


def candidate(hit: Hit, row: Any) -> Neighbour:
    """Return a candidate; what it shows is added by `complete`."""
    score = hit[1]
    bounded = score if -1.0 <= score <= 1.0 else min(1.0, max(-1.0, score))
    return Neighbour(row, _INDEXED, None, bounded, hit[0])


def complete(
    items: Sequence[Neighbour], rows: Mapping[int, Rows], *, images: bool
) -> list[Neighbour]:
    """Give candidates what an answer shows of them; leave out those that have no rows now."""
    found = []
    for item in items:
        of_product = rows.get(item.product.id)
        if of_product:
            item.product = first = of_product[0]
            item.state = first.state
            item.reason = first.last_error if first.state == _QUARANTINED else None
            if images and (uri := first.image_uri) is not None:
                item.images = (ShownImage(uri, first.image_digest, first.image_role),)
            if images and first.position is not None:
                add_images(item, of_product)
            found.append(item)
    return found
