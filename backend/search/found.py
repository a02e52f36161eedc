"""The products of hits as SQL has them now, read in one statement, as rows for the answer."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

from sqlalchemy import Select

from backend.database.reader import Reader
from backend.queue.progress import State
from backend.queue.requesting import FORMER_LIFE
from backend.search import statements
from backend.search.statements import SHOWN, read_json
from backend.vectors import Hit
from backend.vectors.image_points import STRIDE

_QUARANTINED: Final = State.QUARANTINED.value


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


@dataclass(slots=True)
class Neighbour:
    """A product that looks like the query, as SQL has it; `score` is its similarity.

    It belongs to one list. Not frozen: there are ten of them in each answer, and to make a frozen
    one takes three times as long.

    `product` is a row of `statements.found`, `point` the id of the hit. `images` are those of the
    product in order, and `image_errors` the reasons why some of them have no point, by address;
    both are empty unless they were asked for.
    """

    product: Any
    state: str  # a `State`
    reason: str | None  # of its quarantine
    score: float
    point: int
    images: tuple[ShownImage, ...] = ()
    image_errors: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[ScorePart, ...] | None = None  # of the score, where they are asked for
    group_size: int | None = None  # where the list is grouped
    boost: float | None = None  # added to the score for the order of the list
    relaxed: tuple[str, ...] = ()  # clauses that were dropped before it was found
    match: float | None = None  # how probable the same kind is, where the generation has a curve
    rules: tuple[RuleActed, ...] = ()  # in the order in which they acted
    pinned_by: int | None = None  # the rule that put it at its place
    shared: Mapping[str, Any] | None = None  # values that the query product has too
    rank: CategoryRank | None = None  # where it is asked for

    @property
    def shown(self) -> dict[str, Any]:
        """The columns that an answer shows, by name; `attributes` is JSON, or what it stands for.

        Each call makes a new dict.
        """
        return dict(zip(SHOWN, self.product, strict=False))

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
    vectors_by: str | None = None,
    columns: frozenset[str] | None = None,
) -> dict[int, Rows]:
    """Read all that an answer shows of some products, by id. Removed ones are left out.

    With `columns`, these are read of SHOWN: enough to choose by, `complete` adds the rest.

    With `vectors_by`, the fingerprint of an embedder, `vector` is the one that SQL keeps of the
    image that a product was embedded by last.
    """
    if not ids:
        return {}
    parameters: dict[str, Any] = {"generation_id": generation_id, "ids": list(ids)}
    if vectors_by is not None:
        parameters["fingerprint"] = vectors_by
    has_vectors = vectors_by is not None
    statement = statements.found(images=images, vectors=has_vectors, columns=columns)
    return _by_product(connection, statement, parameters)


def read_rows_of_skus(
    connection: Reader,
    generation_id: int,
    skus: Collection[str],
    *,
    images: bool,
    vectors_by: str,
) -> dict[str, Rows]:
    """Do the same for products that are named by their skus."""
    if not skus:
        return {}
    parameters = {"generation_id": generation_id, "skus": list(skus), "fingerprint": vectors_by}
    statement = statements.found(images=images, by_sku=True, vectors=True)
    rows = _by_product(connection, statement, parameters)
    return {found[0].sku: found for found in rows.values()}


def _by_product(
    connection: Reader, statement: Select[Any], parameters: Mapping[str, Any]
) -> dict[int, Rows]:
    rows: dict[int, Rows] = {}
    for row in connection.rows(statement, parameters):
        rows.setdefault(row.id, []).append(row)
    return rows


def value_of_row(row: Any, field: str) -> Any:
    """Return a column of a row by name, to compare it with a filter."""
    value = getattr(row, field)
    return read_json(value) if field == "attributes" else value


def neighbours(
    hits: Sequence[Hit], rows: Mapping[int, Rows], *, images: bool
) -> Iterator[Neighbour]:
    """Yield the hits' products, in their order.

    Points of images that their products have no more are left out: a worker that is killed at the
    worst moment leaves one, until it is reconciled.
    """
    for hit in hits:
        slot, product = divmod(hit.id, STRIDE)
        of_product = rows.get(product)
        if of_product and _has_point(of_product[0], slot):
            yield _neighbour(of_product, hit, images=images)


def complete(
    items: Sequence[Neighbour], rows: Mapping[int, Rows], *, images: bool
) -> list[Neighbour]:
    """Give items that have some columns their whole rows; leave out those that have none now."""
    found = []
    for item in items:
        of_product = rows.get(item.product.id)
        if of_product:
            item.product = of_product[0]
            if images:
                item.images, item.image_errors = _images_of(of_product)
            found.append(item)
    return found


def _has_point(row: Any, slot: int) -> bool:
    """Tell whether a product has the image of a point, and has not begun anew since."""
    if row.indexed_claim == FORMER_LIFE:  # removed, and begun anew: the point is still the old one
        return False
    return not slot or slot <= len(read_json(row.more_digests) or ())


def _neighbour(rows: Sequence[Any], hit: Hit, *, images: bool) -> Neighbour:
    first, id_, score = rows[0], hit.id, hit.score
    state = first.state
    reason = first.last_error if state == _QUARANTINED else None
    if not -1.0 <= score <= 1.0:
        score = min(1.0, max(-1.0, score))
    if not images:
        return Neighbour(first, state, reason, score, id_)
    return Neighbour(first, state, reason, score, id_, *_images_of(rows))


def _images_of(rows: Sequence[Any]) -> tuple[tuple[ShownImage, ...], Mapping[str, Any]]:
    """Return the images of a product, and why some of them have no point."""
    first = rows[0]
    uri = first.image_uri
    found = () if uri is None else (ShownImage(uri, first.image_digest, first.image_role),)
    if first.position is None:
        return found, {}
    further = sorted(rows, key=lambda row: row.position)
    refs = [ShownImage(row.uri, row.digest, row.role) for row in further]
    return (*found, *refs), read_json(first.image_errors) or {}
