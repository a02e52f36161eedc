"""Embed images again that are decoded differently now than when their vectors were stored.

The fingerprint of an embedder does not include the decoder: otherwise a change there would index
every shop again for the few images that it affects. So these images are found by their files, once,
on request.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from backend import queue
from backend.catalogue import product_images
from backend.database.engine import Database
from backend.database.models import ImageVector, IndexEntry, Product, ProductImage
from backend.images.decoder_pool import Decoded
from backend.images.open_images import ImageOpener

CHUNK: Final = 500
DOT: Final = (1, 1)


def renew_changed(db: Database, opener: ImageOpener) -> int:
    """Request every product whose image `images.mark_changed` marks; return how many.

    `opener` decodes by that function. It reads each image of the catalogue, also on other hosts.
    """
    requested = last = 0
    while True:
        with db.read() as session:
            products = session.scalars(
                select(Product)
                .where(Product.id > last, Product.removed_at.is_(None))
                .where(Product.image_uri.is_not(None))
                .order_by(Product.id)
                .limit(CHUNK)
            ).all()
            images = product_images.load_all(session, products)
        if not products:
            return requested
        last = products[-1].id
        uris = [image.uri for several in images.values() for image in several]
        found = opener.open(uris, DOT)
        digests = {
            one.digest for one in found if isinstance(one, Decoded) and any(one.image.tobytes())
        }
        if digests:
            requested += db.write(partial(_renew, digests=digests))


def _renew(session: Session, digests: set[str]) -> int:
    """Delete the vectors of these images and ask for them again, in one transaction.

    A vector stays if it is the last good one of a product whose newer image cannot be embedded.
    """
    renewed = digests - _last_good(session, digests)
    further = select(ProductImage.product_id).where(ProductImage.digest.in_(renewed))
    which = Product.image_digest.in_(renewed) | Product.id.in_(further)
    ids = list(session.scalars(select(Product.id).where(which)))
    session.execute(delete(ImageVector).where(ImageVector.image_digest.in_(renewed)))
    queue.request(session, ids, image=True, priority=queue.REINDEX)
    return len(ids)


def _last_good(session: Session, digests: set[str]) -> set[str]:
    """Return those of the digests that a product is indexed by and does not name any more."""
    named = select(ProductImage.product_id).where(
        ProductImage.product_id == IndexEntry.product_id,
        ProductImage.digest == IndexEntry.embedded_digest,
    )
    first = (
        select(IndexEntry.embedded_digest)
        .join(Product, Product.id == IndexEntry.product_id)
        .where(IndexEntry.embedded_digest.in_(digests))
        .where(Product.image_digest != IndexEntry.embedded_digest, ~named.exists())
    )
    further = select(IndexEntry.more_digests).where(
        IndexEntry.last_error.is_not(None), IndexEntry.more_digests.is_not(None)
    )
    kept = {digest for digest in session.scalars(first) if digest}
    return kept | {each for more in session.scalars(further) for each in more or ()} & digests
