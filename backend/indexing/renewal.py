"""Embed images again whose pixels are decoded otherwise than when their vectors were stored.

The fingerprint of an embedder says nothing of the decoder: a change there would index every shop
anew for the few images that it concerns. So those are found by their files, once, on request.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from backend import queue
from backend.database.engine import Database
from backend.database.models import ImageVector, IndexEntry, Product
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
            rows = session.execute(
                select(Product.id, Product.image_uri)
                .where(Product.id > last, Product.removed_at.is_(None))
                .where(Product.image_uri.is_not(None))
                .order_by(Product.id)
                .limit(CHUNK)
            ).all()
        if not rows:
            return requested
        last = rows[-1].id
        found = opener.open([row.image_uri for row in rows], DOT)
        digests = {
            one.digest for one in found if isinstance(one, Decoded) and any(one.image.tobytes())
        }
        if digests:
            requested += db.write(partial(_renew, digests=digests))


def _renew(session: Session, digests: set[str]) -> int:
    """Delete the vectors of these images and ask for them again, in one transaction.

    A vector stays if it is the last good one of a product whose newer image cannot be embedded.
    """
    kept = (
        select(IndexEntry.embedded_digest)
        .join(Product, Product.id == IndexEntry.product_id)
        .where(IndexEntry.embedded_digest.in_(digests))
        .where(Product.image_digest != IndexEntry.embedded_digest)
    )
    renewed = digests - set(session.scalars(kept))
    ids = list(session.scalars(select(Product.id).where(Product.image_digest.in_(renewed))))
    session.execute(delete(ImageVector).where(ImageVector.image_digest.in_(renewed)))
    queue.request(session, ids, image=True, priority=queue.REINDEX)
    return len(ids)
