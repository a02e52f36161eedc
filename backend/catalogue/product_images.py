"""The images of a product in SQL: the first one in its row, further ones in rows of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

from sqlalchemy import Table, delete, insert, select
from sqlalchemy.orm import Session

from backend.catalogue.draft_images import ImageRef
from backend.database.models import Product, ProductImage

Images: TypeAlias = tuple[ImageRef, ...]
"""All images of a product, in order."""

IMAGES: Final = cast("Table", ProductImage.__table__)
_FACTS: Final = ("uri", "digest", "bytes", "mtime_ns", "role")
_NO_IMAGE: Final = dict.fromkeys([*(f"image_{fact}" for fact in _FACTS), "more_images"])


def columns_of(images: Images) -> dict[str, Any]:
    """Return what the product's own row says of its images."""
    if not images:
        return dict(_NO_IMAGE)
    first = images[0]
    return {  # written out, as in `first_of`
        "image_uri": first.uri,
        "image_digest": first.digest,
        "image_bytes": first.bytes,
        "image_mtime_ns": first.mtime_ns,
        "image_role": first.role,
        "more_images": len(images) - 1 or None,
    }


def first_of(row: Any) -> Images:
    """Return the first image of a product's row, if it has one."""
    if row.image_uri is None:
        return ()
    return (  # written out: an import does this twice for every row
        ImageRef(
            uri=row.image_uri,
            digest=row.image_digest,
            bytes=row.image_bytes,
            mtime_ns=row.image_mtime_ns,
            role=row.image_role,
        ),
    )


def first_in(fields: Mapping[str, Any]) -> Images:
    """Do as `first_of` for a row's fields by name: a row itself takes longer for each of them."""
    uri = fields["image_uri"]
    if uri is None:
        return ()
    return (
        ImageRef(
            uri=uri,
            digest=fields["image_digest"],
            bytes=fields["image_bytes"],
            mtime_ns=fields["image_mtime_ns"],
            role=fields["image_role"],
        ),
    )


def load_all(session: Session, products: Iterable[Product]) -> dict[int, Images]:
    """Return the images of products, by product id; runs no SQL where each has one at most."""
    found = list(products)
    further = load_further(session, [it.id for it in found if it.more_images])
    return {it.id: (*first_of(it), *further.get(it.id, ())) for it in found}


def load_further(session: Session, product_ids: Sequence[int]) -> dict[int, Images]:
    """Return the images beyond the first, by product id."""
    if not product_ids:
        return {}
    rows = session.execute(
        select(IMAGES)
        .where(IMAGES.c.product_id.in_(product_ids))
        .order_by(IMAGES.c.product_id, IMAGES.c.position)
    )
    found: dict[int, list[ImageRef]] = {}
    for row in rows:
        image = ImageRef(**{fact: getattr(row, fact) for fact in _FACTS})
        found.setdefault(row.product_id, []).append(image)
    return {id_: tuple(images) for id_, images in found.items()}


def replace_further(session: Session, images: Mapping[int, Images]) -> None:
    """Write the images beyond the first of these products, whose rows the caller has locked."""
    if not images:
        return
    session.execute(delete(IMAGES).where(IMAGES.c.product_id.in_(sorted(images))))
    rows = [
        {"product_id": id_, "position": position} | {fact: getattr(image, fact) for fact in _FACTS}
        for id_, further in sorted(images.items())
        for position, image in enumerate(further, 1)
    ]
    if rows:
        session.execute(insert(IMAGES), rows)
