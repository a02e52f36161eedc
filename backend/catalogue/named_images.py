"""Which image contents the catalogue names. All that deletes an image or a vector asks here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import Final, TypeVar

from sqlalchemy import ColumnElement, and_, or_, select, union_all, update
from sqlalchemy.orm import Session

from backend.catalogue.merge import BLANK, IMAGE
from backend.database.models import IndexEntry, Product
from backend.images.store import SCHEME

T = TypeVar("T")
CHUNK: Final = 500
"""Digests or products of one statement."""

_STORED: Final = f"{SCHEME}://"


def named(session: Session, digests: Collection[str]) -> set[str]:
    """Return those of these contents that a product names, which is not removed.

    A product names its image, and the image whose vector it is indexed with: that is the last good
    one while another is awaited or in quarantine.
    """
    found: set[str] = set()
    for some in _split(sorted(digests)):
        found |= {digest for digest, _, _ in _names(session, _of_digests(some), _is_live())}
    return found


def contents_of(session: Session, product_ids: Sequence[int]) -> set[str]:
    """Return the contents that products name, also removed ones."""
    found: set[str] = set()
    for some in _split(product_ids):
        found |= {digest for digest, _, _ in _names(session, _of_products(some))}
    return found


def named_by_others(
    session: Session, digests: Collection[str], product_ids: Collection[int]
) -> dict[str, dict[int, str]]:
    """Return {digest: {product id: sku}} of the products beside these that name a content."""
    found: dict[str, dict[int, str]] = defaultdict(dict)
    for some in _split(sorted(digests)):
        for digest, id_, sku in _names(session, _of_digests(some), _is_live()):
            if id_ not in product_ids:
                found[digest][id_] = sku
    return dict(found)


def take_away(session: Session, product_ids: Sequence[int], digests: Collection[str]) -> None:
    """Let products name none of these contents as their image any more.

    The caller requests the products anew, which forgets the vectors.
    """
    for ids in _split(product_ids):
        for some in _split(sorted(digests)):
            image, _ = _of_digests(some)
            nothing = {name: BLANK[name] for name in IMAGE}
            session.execute(
                update(Product).where(Product.id.in_(ids), image).values(nothing),
                execution_options={"synchronize_session": False},
            )


def _split(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(len(items)):
        yield items[start : start + CHUNK]


_Which = tuple[ColumnElement[bool], ColumnElement[bool]]
"""A condition on products, and the same on entries."""


def _of_digests(digests: Sequence[str]) -> _Which:
    # A row whose image was copied into the store by a backup may not have its digest yet.
    uris = [f"{_STORED}{digest}" for digest in digests]
    unread = and_(Product.image_digest.is_(None), Product.image_uri.in_(uris))
    return or_(Product.image_digest.in_(digests), unread), IndexEntry.embedded_digest.in_(digests)


def _of_products(product_ids: Sequence[int]) -> _Which:
    return Product.id.in_(product_ids), IndexEntry.product_id.in_(product_ids)


def _is_live() -> ColumnElement[bool]:
    return Product.removed_at.is_(None)


def _names(
    session: Session, which: _Which, *also: ColumnElement[bool]
) -> Iterator[tuple[str, int, str]]:
    """Yield (digest, product id, sku) of every place where the catalogue names a content."""
    images, entries = which
    shown = select(Product.image_digest, Product.image_uri, Product.id, Product.sku).where(
        images, Product.image_uri.is_not(None), *also
    )
    embedded = (
        select(IndexEntry.embedded_digest, Product.image_uri, Product.id, Product.sku)
        .join(Product, Product.id == IndexEntry.product_id)
        .where(entries, IndexEntry.embedded_digest.is_not(None), *also)
    )
    for digest, uri, id_, sku in session.execute(union_all(shown, embedded)):
        if digest is not None:
            yield digest, id_, sku
        elif uri is not None and uri.startswith(_STORED):
            yield uri.removeprefix(_STORED), id_, sku
