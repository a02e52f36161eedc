"""The products of hits as SQL has them now, read in one statement, as rows for the answer."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from sqlalchemy import Select

from backend.database.reader import Reader
from backend.queue.progress import State
from backend.queue.requesting import FORMER_LIFE
from backend.search import statements
from backend.search.statements import read_json
from backend.vectors import Hit
from backend.vectors.image_points import STRIDE

_QUARANTINED: Final = State.QUARANTINED.value
_made: Final = tuple.__new__  # a named tuple's own takes a call of Python


class ScorePart(NamedTuple):
    """A block of a score: how similar it is to the query's, and how much it counts."""

    name: str
    similarity: float
    weight: float


class RuleActed(NamedTuple):
    """A rule that has acted on a product of a list."""

    id: int
    action: str


class ShownImage(NamedTuple):
    """An image of a product in an answer."""

    uri: str | None
    digest: str | None  # sha256 of the bytes, in hex; None: nobody has read it yet
    role: str | None  # the shop's own word, such as "back"


class CategoryRank(NamedTuple):
    """The place of a product among those of its category, by similarity to the query."""

    field: str
    value: Any
    place: int  # from 1
    products: int | None  # of the category, without the query's; None where it cannot be counted

    @property
    def percentile(self) -> float | None:
        """Which share of the others is less similar, 0 to 100."""
        if self.products is None:
            return None
        less_similar, others = max(0, self.products - self.place), self.products - 1
        return 100.0 if self.place == 1 else 100.0 * less_similar / max(1, others)


Rows: TypeAlias = list[Any]
"""One product's rows of `statements.found`, one for each image beyond the first."""

NO_ROWS: Final[Rows] = []
"""Stands for a product that was removed. Nothing is added to it."""


@dataclass(slots=True)
class Neighbour:
    """A product that looks like the query, as SQL has it; `score` is its similarity.

    It belongs to one list. Not frozen: there are ten of them in each answer, and to make a frozen
    one takes three times as long.

    `product` is a row of `statements.found`, `point` the id of the hit. `images` are those of the
    product in order, and `image_errors` the reasons why some of them have no point, by address;
    there are none unless they were asked for.
    """

    product: Any
    state: str  # a `State`
    reason: str | None  # of its quarantine
    score: float
    point: int
    images: tuple[ShownImage, ...] = ()
    image_errors: Mapping[str, str] | None = None
    parts: tuple[ScorePart, ...] | None = None  # of the score, where they are asked for
    group_size: int | None = None  # where the list is grouped
    boost: float | None = None  # added to the score for the order of the list
    relaxed: tuple[str, ...] = ()  # clauses that were dropped before it was found
    match: float | None = None  # how probable the same kind is, where the generation has a curve
    rules: tuple[RuleActed, ...] = ()  # in the order in which they acted
    pinned_by: int | None = None  # the rule that put it at its place
    shared: Mapping[str, Any] | None = None  # values that the query product has too
    rank: CategoryRank | None = None  # where it is asked for

    def value_of(self, field: str) -> Any:
        """Return a column by name, to compare it with a filter."""
        value = getattr(self.product, field)
        return read_json(value) if field == "attributes" else value


def read_rows(
    connection: Reader,
    generation_id: int,
    ids: Collection[int],
    *,
    images: bool,
    digests: bool = False,
) -> dict[int, Rows]:
    """Read all that an answer shows of some products, by id. Removed ones are left out.

    `digests` are as `statements.found` takes them.
    """
    if not ids:
        return {}
    parameters: dict[str, Any] = {"generation_id": generation_id, "ids": list(ids)}
    statement = statements.found(images=images, digests=digests)
    return _by_product(connection, statement, parameters)


def read_rows_of_skus(
    connection: Reader,
    generation_id: int,
    skus: Collection[str],
    *,
    images: bool,
) -> dict[str, Rows]:
    """Do the same for products that are named by their skus, with `digests`."""
    if not skus:
        return {}
    parameters = {"generation_id": generation_id, "skus": list(skus)}
    statement = statements.found(images=images, by_sku=True, digests=True)
    rows = _by_product(connection, statement, parameters)
    return {found[0].sku: found for found in rows.values()}


def _by_product(
    connection: Reader, statement: Select[Any], parameters: Mapping[str, Any]
) -> dict[int, Rows]:
    rows: dict[int, Rows] = {}
    for row in connection.rows(statement, parameters, at_once=True):
        id_ = row.id
        if id_ in rows:
            rows[id_].append(row)
        else:
            rows[id_] = [row]
    return rows


def neighbours(
    hits: Sequence[Hit], rows: Mapping[int, Rows], *, images: bool
) -> Iterator[Neighbour]:
    """Yield the hits' products, in their order.

    Points of images that their products have no more are left out: a worker that is killed at the
    worst moment leaves one, until it is reconciled.
    """
    # All in one loop: a call of Python for each product takes as long as what it does.
    for id_, score, _ in hits:
        slot, product = divmod(id_, STRIDE)
        of_product = rows.get(product)
        if not of_product:
            continue
        first = of_product[0]
        if first.indexed_claim == FORMER_LIFE:  # removed, and begun anew: the point is the old one
            continue
        if slot and slot > len(read_json(first.more_digests) or ()):
            continue
        state = first.state
        reason = first.last_error if state == _QUARANTINED else None
        shown: tuple[ShownImage, ...] = ()
        if images and (uri := first.image_uri) is not None:
            shown = (_made(ShownImage, (uri, first.image_digest, first.image_role)),)
        bounded = score if -1.0 <= score <= 1.0 else min(1.0, max(-1.0, score))
        one = Neighbour(first, state, reason, bounded, id_, shown)
        if images and first.position is not None:
            add_images(one, of_product)
        yield one


def add_images(one: Neighbour, rows: Sequence[Any]) -> None:
    """Add the images beyond the first."""
    further = sorted(rows, key=lambda row: row.position)
    refs = [ShownImage(row.uri, row.digest, row.role) for row in further]
    one.images = (*one.images, *refs)
    one.image_errors = read_json(one.product.image_errors) or {}
