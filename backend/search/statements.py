"""The two statements of a query: what is asked about, and the products that were found.

Both are Core statements on tables: they are compiled once, and make no objects of products.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from enum import IntEnum, auto
from functools import cache
from typing import Any, Final, cast

from sqlalchemy import (
    JSON,
    BindParameter,
    ColumnElement,
    FromClause,
    Select,
    Table,
    bindparam,
    case,
    func,
    select,
    type_coerce,
)
from sqlalchemy.types import NullType

from backend.catalogue.drafts import FIELDS
from backend.database import models
from backend.database.models import ACTIVE, LIVE
from backend.database.reader import Reader
from backend.queue.progress import State, state_column
from backend.queue.requesting import FORMER_LIFE
from backend.search.shaping import FIELDS as SHAPED

GENERATIONS: Final = cast("Table", models.Generation.__table__)
PRODUCTS: Final = cast("Table", models.Product.__table__)
ENTRIES: Final = cast("Table", models.IndexEntry.__table__)
VECTORS: Final = cast("Table", models.ImageVector.__table__)
IMAGES: Final = cast("Table", models.ProductImage.__table__)
RULE_CHANGES: Final = cast("Table", models.RuleChange.__table__)

SHOWN: Final = ("sku", *FIELDS)
"""The columns of a product that an answer shows: the first of each row of `found`, in order."""


class Which(IntEnum):  # a number: an Enum finds its hash by a call of Python
    """Which vector of a product is asked for."""

    LAST_GOOD = auto()  # the one that it is indexed by
    FIRST = auto()  # that of its first image
    FURTHER = auto()  # that of another image


def _unread(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a column of JSON as the driver gives it; `read_json` reads what is needed of it."""
    is_json = isinstance(column.type, JSON)
    return type_coerce(column, NullType()).label(column.key) if is_json else column


def read_json(value: Any) -> Any:
    """Read a value of such a column: SQLite's driver gives a text, PostgreSQL's has read it."""
    return json.loads(value) if isinstance(value, str) else value


def _generation_and_rules() -> list[Any]:
    """Return what each first statement reads: the generation, and the newest change of a rule."""
    g = GENERATIONS.c
    newest = select(func.max(RULE_CHANGES.c.id)).scalar_subquery().label("rules_version")
    return [g.id.label("generation_id"), g.most_images, g.match_version, newest]


def _is_queried(*, pinned: bool) -> ColumnElement[bool]:
    """Return which generation is asked for: the active one, or the live one `generation_id`."""
    g = GENERATIONS.c
    if pinned:
        return (g.id == bindparam("generation_id")) & g.state.in_(LIVE)
    return g.state == ACTIVE


@cache
def active(*, with_others: bool, pinned: bool = False) -> Select[Any]:
    """Return the statement that reads which generation is active, and its most images.

    With others it takes `skus`, and has a row for each product's `product_id`, or one without.
    Where a generation is pinned, it takes `generation_id` and reads that one if it is live.
    """
    p = PRODUCTS.c
    columns = _generation_and_rules()
    source: FromClause = GENERATIONS
    if with_others:
        columns.append(p.id.label("product_id"))
        source = source.outerjoin(PRODUCTS, p.sku.in_(bindparam("skus", expanding=True)))
    return select(*columns).select_from(source).where(_is_queried(pinned=pinned))


@cache
def select_query_product(which: Which, *, with_others: bool, whole: bool = False) -> Select[Any]:
    """Return the statement that reads the active generation, one product, and its vector.

    Parameters are `sku`, with FURTHER `position`, and with others `skus`: all whose ids are wanted,
    that one included. There is a row for each product, or one without a product; none where no
    generation is active. With `whole`, a row also has the columns SHOWN.
    """
    g, p, e, v, i = (it.c for it in (GENERATIONS, PRODUCTS, ENTRIES, VECTORS, IMAGES))
    is_it = p.sku == bindparam("sku")
    named = p.sku.in_(bindparam("skus", expanding=True)) if with_others else is_it
    source: FromClause = GENERATIONS.outerjoin(PRODUCTS, named)
    source = source.outerjoin(ENTRIES, (e.generation_id == g.id) & (e.product_id == p.id) & is_it)
    digest: ColumnElement[str | None] = e.embedded_digest
    columns = _generation_and_rules()
    columns += [p.id.label("product_id"), p.sku, p.removed_at.is_not(None).label("is_removed")]
    columns += [state_column(e).label("state"), e.last_error, v.vector]
    if which is Which.FIRST:
        digest = case((p.more_images > 0, p.image_digest), else_=e.embedded_digest)
        columns += [p.image_uri.label("uri"), p.more_images, e.image_errors]
    if which is Which.FURTHER:
        digest = i.digest
        columns += [i.uri, p.image_uri, p.more_images, e.image_errors]
        at = (i.product_id == p.id) & (i.position == bindparam("position")) & is_it
        source = source.outerjoin(IMAGES, at)
    source = source.outerjoin(
        VECTORS, (v.image_digest == digest) & (v.fingerprint == g.fingerprint)
    )
    columns.append(digest.label("digest"))
    columns += _shown_beside(columns, whole=whole)
    return select(*columns).select_from(source).where(g.state == ACTIVE)


def _shown_beside(columns: Sequence[Any], *, whole: bool) -> list[Any]:
    """Return the columns SHOWN that are not among these."""
    named = {column.key for column in columns}
    return [_unread(PRODUCTS.c[name]) for name in SHOWN if name not in named] if whole else []


@cache
def select_pinned_query_product(*, with_others: bool, whole: bool = False) -> Select[Any]:
    """Return the statement that reads a pinned generation, a product, and the vector of an image.

    Its parameters are `generation_id`, `digest`, and those of `select_query_product`, and it has
    the same rows.
    """
    g, p, e, v = (it.c for it in (GENERATIONS, PRODUCTS, ENTRIES, VECTORS))
    is_it = p.sku == bindparam("sku")
    named = p.sku.in_(bindparam("skus", expanding=True)) if with_others else is_it
    mine = (e.generation_id == g.id) & (e.product_id == p.id) & is_it
    same = (v.image_digest == bindparam("digest")) & (v.fingerprint == g.fingerprint)
    source: FromClause = GENERATIONS.outerjoin(PRODUCTS, named)
    source = source.outerjoin(ENTRIES, mine).outerjoin(VECTORS, same)
    columns = _generation_and_rules()
    columns += [p.id.label("product_id"), p.sku, p.removed_at.is_not(None).label("is_removed")]
    columns += [state_column(e).label("state"), v.vector]
    columns += _shown_beside(columns, whole=whole)
    return select(*columns).select_from(source).where(_is_queried(pinned=True))


@cache
def found(
    *,
    images: bool,
    by_sku: bool = False,
    digests: bool = False,
) -> Select[Any]:
    """Return the statement that reads all that an answer shows of some products.

    Parameters are `generation_id` and the products' `ids`, or `skus`. Removed products are left
    out. With `images` there are also the reasons why some have no point, and a row for each image
    beyond the first. With `digests` there is `embedded_digest`: of an indexed product, the image
    that it was embedded by.
    """
    p, e, i = PRODUCTS.c, ENTRIES.c, IMAGES.c
    read: list[Any] = [_unread(p[name]) for name in SHOWN] + [p.id, p.image_digest]
    read += [state_column(e).label("state"), e.last_error, e.indexed_claim]
    read.append(_unread(e.more_digests))
    read.append(type_coerce(p.created_at, NullType()).label("created_at"))  # read where needed
    mine = (e.generation_id == bindparam("generation_id")) & (e.product_id == p.id)
    source: FromClause = PRODUCTS.outerjoin(ENTRIES, mine)
    if images:
        source = source.outerjoin(IMAGES, (i.product_id == p.id) & (p.more_images > 0))
        read += [p.image_role, _unread(e.image_errors)]
        read += [i.position, i.uri, i.digest, i.role]
    if digests:
        read.append(_digest_of_indexed())
    named = p.sku.in_(_some("skus")) if by_sku else p.id.in_(_some("ids"))
    return select(*read).select_from(source).where(named, p.removed_at.is_(None))


@cache
def candidates(columns: frozenset[str], *, digests: bool, several: bool) -> Select[Any]:
    """Return the statement that reads what the products `ids` are chosen by.

    A row has these columns of SHOWN and `created_at`, then `id`, with `several` `more_digests`, and
    with `digests` `embedded_digest`: of an indexed product, the image that it was embedded by.
    Removed products have no row, and those that were begun anew while their old point remains.
    """
    p, e = PRODUCTS.c, ENTRIES.c
    read: list[Any] = [_unread(p[name]) for name in sorted(columns - {"created_at", "id"})]
    read.append(p.id)
    if "created_at" in columns:
        read.append(type_coerce(p.created_at, NullType()).label("created_at"))
    if several:
        read.append(_unread(e.more_digests))
    if digests:
        read.append(_digest_of_indexed())
    mine = (e.generation_id == bindparam("generation_id")) & (e.product_id == p.id)
    is_former = func.coalesce(e.indexed_claim, -1) == FORMER_LIFE
    source = PRODUCTS.outerjoin(ENTRIES, mine)
    return (
        select(*read)
        .select_from(source)
        .where(p.id.in_(_some("ids")), p.removed_at.is_(None), ~is_former)
    )


def _digest_of_indexed() -> ColumnElement[str | None]:
    """Return the digest that a product's point was made of; that of a pending one may be newer."""
    e = ENTRIES.c
    is_indexed = state_column(e) == State.INDEXED.value
    return case((is_indexed, e.embedded_digest)).label("embedded_digest")


def _some(name: str) -> BindParameter[Any]:
    return bindparam(name, expanding=True)


@cache
def vectors() -> Select[Any]:
    """Return the statement that reads the vectors of the images `digests` by a `fingerprint`."""
    v = VECTORS.c
    named = v.image_digest.in_(_some("digests"))
    return select(v.image_digest, v.vector).where(named, v.fingerprint == bindparam("fingerprint"))


@cache
def compared(columns: frozenset[str]) -> Select[Any]:
    """Return the statement that reads some columns of the products `ids`; not of removed ones."""
    p = PRODUCTS.c
    read = [_unread(p[name]) for name in sorted(columns - {"id"})]
    return select(p.id, *read).where(p.id.in_(_some("ids")), p.removed_at.is_(None))


@cache
def values() -> Select[Any]:
    """Return the statement that reads the columns SHAPED of the products `ids`."""
    p = PRODUCTS.c
    columns = [p[name] for name in SHAPED]
    return select(p.id, *columns).where(p.id.in_(bindparam("ids", expanding=True)))


@cache
def select_query_products(*, pinned: bool = False, whole: bool = False) -> Select[Any]:
    """Return the statement that reads the active generation, many products, and their vectors.

    Its parameter is `skus`, for a pinned generation also `generation_id`. Rows are as those of
    `select_query_product`.
    """
    g, p, e, v = (it.c for it in (GENERATIONS, PRODUCTS, ENTRIES, VECTORS))
    source: FromClause = GENERATIONS.outerjoin(
        PRODUCTS, p.sku.in_(bindparam("skus", expanding=True))
    )
    source = source.outerjoin(ENTRIES, (e.generation_id == g.id) & (e.product_id == p.id))
    source = source.outerjoin(
        VECTORS, (v.image_digest == e.embedded_digest) & (v.fingerprint == g.fingerprint)
    )
    columns = [*_generation_and_rules(), p.id.label("product_id"), p.sku]
    columns += [p.removed_at.is_not(None).label("is_removed"), state_column(e).label("state")]
    columns += [e.last_error, v.vector, e.embedded_digest.label("digest")]
    columns += _shown_beside(columns, whole=whole)
    return select(*columns).select_from(source).where(_is_queried(pinned=pinned))


def read_skus(connection: Reader, ids: Collection[int]) -> dict[int, str]:
    """Return the skus of some products by their ids."""
    rows = connection.rows(_skus(), {"ids": ids})
    return {row.id: row.sku for row in rows}


@cache
def _skus() -> Select[Any]:
    return select(PRODUCTS.c.id, PRODUCTS.c.sku).where(
        PRODUCTS.c.id.in_(bindparam("ids", expanding=True))
    )
