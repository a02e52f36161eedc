"""What a query is about, read in one statement: the active generation, a product, its vector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from backend.catalogue import image_vectors
from backend.catalogue.skus import is_sku, normalise
from backend.database.engine import Database
from backend.database.models import Generation
from backend.database.reader import Reader
from backend.errors import (
    CursorExpired,
    LookalikeError,
    NoGeneration,
    NoImage,
    NotSearchable,
    UnknownProduct,
)
from backend.generations import by_id
from backend.queue.progress import State
from backend.search import statements
from backend.search.paging import Position
from backend.search.statements import Which
from backend.vectors import Vector


class ActiveGeneration:
    """The generation that answers queries. One per process, for all its threads.

    Each query reads its number in the statement that it needs anyway, so that no query goes by an
    older one. The whole row is read again only when that number has changed.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._last: tuple[Any, Generation] | None = None  # what rows say of it

    def of(self, row: Any) -> Generation:
        """Return the generation of a row's `generation_id`, `most_images` and `match_version`."""
        last, said = self._last, _said_in(row)
        if last and last[0] == said:
            return last[1]
        with self._db.read() as session:
            found = by_id(session, row.generation_id)
        self._last = _said_of(found), found
        return found

    def pinned(self, row: Any) -> Generation:
        """Return the generation of such a row, which need not be the active one."""
        last = self._last
        if last and last[0] == _said_in(row):
            return last[1]
        with self._db.read() as session:
            return by_id(session, row.generation_id)


def _said_in(row: Any) -> tuple[Any, ...]:
    return (row.generation_id, row.most_images, row.match_version)


def _said_of(generation: Generation) -> tuple[Any, ...]:
    return (generation.id, generation.most_images, generation.match_version)


STATES: Final = {state.value: state for state in State}
"""By their names; to look one up in `State` takes two calls of Python."""


@dataclass(slots=True, kw_only=True)
class QueryProduct:
    """A product whose vector is known, and the generation that it is searched in."""

    generation: Generation
    product_id: int
    state: State
    digest: str  # of the image; empty on a further page that is not found by it
    vector: bytes  # as `image_vectors` keeps it; empty as the digest
    exclude: list[int]  # ids of products, this one first
    rules_version: int | None  # the newest change of a rule; None: there was none
    row: Any = None  # the product's, with the columns SHOWN; None unless it is asked for

    def query_vector(self) -> Vector:
        """Return the vector to search with, (size,) float32."""
        return image_vectors.unpack(self.vector)


def read_product(
    connection: Reader,
    active: ActiveGeneration,
    sku: str,
    *,
    image: int | None,
    exclude: Sequence[str],
    whole: bool = False,
) -> QueryProduct:
    """Read the last good vector of a product, or that of one image.

    `exclude` holds the skus of other products; an unknown one excludes nothing. With `whole`, the
    product's row is read too. Raises NoGeneration, UnknownProduct, NoImage, NotSearchable.
    """
    which = Which.LAST_GOOD if image is None else Which.FIRST if image == 1 else Which.FURTHER
    wanted = normalise(sku)
    parameters: dict[str, Any] = {"sku": wanted if is_sku(wanted) else None}
    if which is Which.FURTHER:
        parameters["position"] = (image or 0) - 1
    if exclude:
        parameters["skus"] = [parameters["sku"], *exclude]
    statement = statements.select_query_product(which, with_others=bool(exclude), whole=whole)
    rows = connection.rows(statement, parameters)
    if not rows:
        raise NoGeneration
    row = rows[0] if not exclude else next((it for it in rows if it.sku == wanted), None)
    if row is None or row.product_id is None or row.is_removed:
        raise _unknown(sku)
    state, reason, name = _about(row, which, image, sku=wanted)
    if row.vector is None:
        raise _not_searchable(wanted, name, state, reason)
    others = [it.product_id for it in rows if it.product_id != row.product_id] if exclude else []
    return _with_vector(row, active.of(row), state, others, whole=whole)


def read_again(
    connection: Reader,
    active: ActiveGeneration,
    sku: str,
    position: Position,
    *,
    exclude: Sequence[str],
    whole: bool = False,
) -> QueryProduct:
    """Read a product for a further page: in the same generation, by the same image.

    Raises CursorExpired where generation or vector is gone, and UnknownProduct.
    """
    wanted = normalise(sku)
    digest = position.basis.digest if position.basis else None
    parameters: dict[str, Any] = {"sku": wanted if is_sku(wanted) else None, "digest": digest}
    parameters["generation_id"] = position.generation_id
    if exclude:
        parameters["skus"] = [parameters["sku"], *exclude]
    statement = statements.select_pinned_query_product(with_others=bool(exclude), whole=whole)
    rows = connection.rows(statement, parameters)
    if not rows:
        raise _expired(position)
    row = next((it for it in rows if it.sku == parameters["sku"]), None)
    if row is None or row.product_id is None or row.is_removed:
        raise _unknown(sku)
    if digest is not None and row.vector is None:
        raise CursorExpired("the image that this list was found by is gone: ask for its first page")
    others = [it.product_id for it in rows if it.product_id != row.product_id]
    return QueryProduct(
        generation=active.pinned(row),
        product_id=row.product_id,
        state=State(row.state),
        digest=digest or "",
        vector=row.vector or b"",
        exclude=[row.product_id, *others],
        rules_version=row.rules_version,
        row=row if whole else None,
    )


def _expired(position: Position) -> CursorExpired:
    return CursorExpired(
        f"generation {position.generation_id}, which the list was found in, is gone: ask for it "
        "from its beginning"
    )


def read_each(
    connection: Reader,
    active: ActiveGeneration,
    skus: Sequence[str],
    *,
    exclude: Sequence[str],
    position: Position | None = None,
    whole: bool = False,
) -> tuple[Generation, list[QueryProduct | LookalikeError]]:
    """Read the last good vectors of many products in one statement, in the order of the skus.

    In the place of a product that has none stands UnknownProduct or NotSearchable. A position names
    the generation. `whole` is as `read_product` takes it. Raises NoGeneration, CursorExpired.
    """
    wanted = [normalise(sku) for sku in skus]
    parameters: dict[str, Any] = {"skus": sorted({*filter(is_sku, wanted), *exclude})}
    if position is not None:
        parameters["generation_id"] = position.generation_id
    statement = statements.select_query_products(pinned=position is not None, whole=whole)
    rows = connection.rows(statement, parameters)
    if not rows:
        raise _expired(position) if position else NoGeneration()
    generation = active.of(rows[0]) if position is None else active.pinned(rows[0])
    by_sku = {row.sku: row for row in rows if row.product_id is not None}
    others = [by_sku[sku].product_id for sku in exclude if sku in by_sku]
    found = [_asked(sku, by_sku.get(sku), generation, others, whole=whole) for sku in wanted]
    return generation, found


def _asked(
    sku: str, row: Any, generation: Generation, others: Sequence[int], *, whole: bool
) -> QueryProduct | LookalikeError:
    if row is None or row.is_removed:
        return _unknown(sku)
    state, reason, name = _about(row, Which.LAST_GOOD, None, sku=sku)
    if row.vector is None:
        return _not_searchable(sku, name, state, reason)
    others = [id_ for id_ in others if id_ != row.product_id]
    return _with_vector(row, generation, state, others, whole=whole)


def _with_vector(
    row: Any, generation: Generation, state: State, others: Sequence[int], *, whole: bool
) -> QueryProduct:
    """Return the product of a row that holds its digest and vector; `others` are excluded too."""
    return QueryProduct(
        generation=generation,
        product_id=row.product_id,
        state=state,
        digest=row.digest,
        vector=row.vector,
        exclude=[row.product_id, *others],
        rules_version=row.rules_version,
        row=row if whole else None,
    )


def _unknown(sku: str) -> UnknownProduct:
    return UnknownProduct(f"no product has the sku {sku!r}")


def _not_searchable(sku: str, name: str, state: State, reason: str | None) -> NotSearchable:
    return NotSearchable(
        f"product {sku!r} has no vector yet: {name} is {state}" + (f", {reason}" if reason else ""),
        state=state.value,
        reason=reason,
    )


def read_others(
    connection: Reader,
    active: ActiveGeneration,
    exclude: Sequence[str],
    position: Position | None = None,
) -> tuple[Generation, list[int], int | None]:
    """Return the active generation, the ids of the known ones of these skus, and `rules_version`.

    For a further page it is the generation of that position. Raises NoGeneration, CursorExpired.
    """
    statement = statements.active(with_others=bool(exclude), pinned=position is not None)
    parameters: dict[str, Any] = {"skus": list(exclude)} if exclude else {}
    if position is not None:
        parameters["generation_id"] = position.generation_id
    rows = connection.rows(statement, parameters)
    if not rows:
        raise _expired(position) if position else NoGeneration()
    ids = [row.product_id for row in rows if row.product_id is not None] if exclude else []
    generation = active.of(rows[0]) if position is None else active.pinned(rows[0])
    return generation, ids, rows[0].rules_version


def _about(row: Any, which: Which, image: int | None, *, sku: str) -> tuple[State, str | None, str]:
    """Return state and reason of the image that is asked for, and what to call it.

    Raises NoImage.
    """
    state = STATES[row.state]
    reason = row.last_error if state is not State.INDEXED else None
    if which is Which.LAST_GOOD or (which is Which.FIRST and not row.more_images):
        return state, reason, "it"
    if row.uri is None:
        count = (row.image_uri is not None) + (row.more_images or 0)
        raise NoImage(f"product {sku!r} has {count} images, numbered from 1")
    if error := (row.image_errors or {}).get(row.uri):
        state, reason = State.QUARANTINED, error
    return state, reason, f"its image {image}"
