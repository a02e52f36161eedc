"""Which image contents products name. Code that deletes images or vectors asks here first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar, cast

from sqlalchemy import ColumnElement, Table, and_, or_, select, true, union_all, update
from sqlalchemy.orm import Session

from backend.catalogue import product_images
from backend.catalogue.draft_images import ImageRef
from backend.database.models import IndexEntry, Product, ProductImage
from backend.images.store import SCHEME

T = TypeVar("T")
CHUNK: Final = 500
"""Digests or products of one statement."""

_STORED: Final = f"{SCHEME}://"


class ContentUse(NamedTuple):
    """A place where a product names a content."""

    digest: str
    product_id: int
    sku: str


def named(session: Session, digests: Collection[str]) -> set[str]:
    """Return those of these digests that a product names; removed products do not count.

    A product names its images, and those whose vectors it is indexed with: they are the last good
    ones while others are awaited or in quarantine.
    """
    return {use.digest for use in _uses_of(session, digests)}


def named_by_others(
    session: Session, digests: Collection[str], product_ids: Collection[int]
) -> dict[str, dict[int, str]]:
    """Return {digest: {product id: sku}} of the products beside these that name a content."""
    found: dict[str, dict[int, str]] = defaultdict(dict)
    for use in _uses_of(session, digests):
        if use.product_id not in product_ids:
            found[use.digest][use.product_id] = use.sku
    return dict(found)


def contents_of(session: Session, product_ids: Sequence[int]) -> set[str]:
    """Return the contents that products name, also removed ones."""
    found: set[str] = set()
    for ids in _split(product_ids):
        which = {
            Product: Product.id.in_(ids),
            ProductImage: ProductImage.product_id.in_(ids),
            IndexEntry: IndexEntry.product_id.in_(ids),
        }
        found |= {use.digest for use in _uses(session, which.__getitem__)}
        more = select(IndexEntry.more_digests).where(IndexEntry.product_id.in_(ids))
        found |= {digest for digests in session.scalars(more) for digest in digests or ()}
    return found


def take_away(session: Session, product_ids: Sequence[int], digests: Collection[str]) -> None:
    """Let products name none of these contents among their images any more.

    The caller requests the products again, so that their vectors are forgotten.
    """
    products = session.scalars(select(Product).where(Product.id.in_(product_ids))).all()
    table = cast("Table", Product.__table__)
    for id_, images in product_images.load_all(session, products).items():
        kept = tuple(image for image in images if _digest_of(image) not in digests)
        if kept != images:
            columns = product_images.columns_of(kept)
            session.execute(update(table).where(table.c.id == id_).values(columns))
            product_images.replace_further(session, {id_: kept[1:]})


def _digest_of(image: ImageRef) -> str | None:
    is_stored = image.digest is None and (image.uri or "").startswith(_STORED)
    return (image.uri or "").removeprefix(_STORED) if is_stored else image.digest


def _uses_of(session: Session, digests: Collection[str]) -> Iterator[ContentUse]:
    """Yield every place where a product that is not removed names one of these contents."""
    live = Product.removed_at.is_(None)
    for some in _split(sorted(digests)):
        which = {
            Product: _is_any(Product.image_digest, Product.image_uri, some),
            ProductImage: _is_any(ProductImage.digest, ProductImage.uri, some),
            IndexEntry: IndexEntry.embedded_digest.in_(some),
        }
        yield from _uses(session, which.__getitem__, live)
    if digests:
        wanted = set(digests)
        yield from (use for use in _further_indexed(session, live) if use.digest in wanted)


def _is_any(digest: Any, uri: Any, digests: Sequence[str]) -> ColumnElement[bool]:
    """Return whether an image is one of these; what a backup has copied may lack its digest yet."""
    unread = and_(digest.is_(None), uri.in_([f"{_STORED}{each}" for each in digests]))
    return or_(digest.in_(digests), unread)


_Table: TypeAlias = type[Product] | type[ProductImage] | type[IndexEntry]


def _uses(
    session: Session,
    which: Callable[[_Table], ColumnElement[bool]],
    also: ColumnElement[bool] | None = None,
) -> Iterator[ContentUse]:
    """Yield the contents of first and further images, and of the vectors of first points."""
    is_it = true() if also is None else also
    product = (Product.id, Product.sku)
    first = select(Product.image_digest, Product.image_uri, *product).where(
        Product.image_uri.is_not(None)
    )
    further = select(ProductImage.digest, ProductImage.uri, *product).join(
        Product, Product.id == ProductImage.product_id
    )
    embedded = (
        select(IndexEntry.embedded_digest, IndexEntry.embedded_digest, *product)
        .join(Product, Product.id == IndexEntry.product_id)
        .where(IndexEntry.embedded_digest.is_not(None))
    )
    tables: list[tuple[Any, _Table]] = [
        (first, Product),
        (further, ProductImage),
        (embedded, IndexEntry),
    ]
    for statement, table in tables:
        for digest, uri, id_, sku in session.execute(statement.where(which(table), is_it)):
            if digest is not None:
                yield ContentUse(digest, id_, sku)
            elif uri.startswith(_STORED):
                yield ContentUse(uri.removeprefix(_STORED), id_, sku)


def _further_indexed(session: Session, live: ColumnElement[bool]) -> Iterator[ContentUse]:
    """Yield the contents of further points of products whose present images are not all in.

    Each half has an index of its own: by both at once SQLite would read all entries.
    """
    further = (
        select(IndexEntry.more_digests, Product.id, Product.sku)
        .join(Product, Product.id == IndexEntry.product_id)
        .where(IndexEntry.more_digests.is_not(None), live)
    )
    unsettled = [
        further.where(IndexEntry.last_error.is_not(None)),
        further.where(IndexEntry.due_at.is_not(None)),
    ]
    for digests, id_, sku in session.execute(union_all(*unsettled)):
        yield from (ContentUse(digest, id_, sku) for digest in digests or ())


def _split(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]
