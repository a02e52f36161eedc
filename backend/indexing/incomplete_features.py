"""Keep again what an earlier release has kept too little of: the features of images.

An embedder may keep more of an image than it did when the image was embedded. Vectors stay as they
are, and so do index and queue: only the kept features are written, a batch at a time. So this runs
beside a server, and after a kill it goes on with what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple

import numpy as np
from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from backend.catalogue import image_vectors
from backend.catalogue.named_images import named
from backend.database.engine import Database
from backend.database.models import Generation, ImageVector, Product, ProductImage
from backend.embedders import KeepsFeatures
from backend.errors import ImageError, ImageUnavailable
from backend.images.decoder_pool import Decoded
from backend.images.open_images import ImageOpener
from backend.indexing import kept_features

AT_ONCE: Final = 512  # images that are looked up at once


class KeptImage(NamedTuple):
    """An image whose vector is stored, and where its content is."""

    digest: str
    uri: str


@dataclass(kw_only=True)
class Completion:
    """What became of the images whose kept features were incomplete."""

    embedded: int = 0
    failed: int = 0
    reason: str | None = None  # why the first one failed, in one sentence

    def fail(self, image: KeptImage, error: Exception) -> None:
        """Count an image that cannot be embedded now."""
        self.failed += 1
        self.reason = self.reason or f"{image.uri}: {error}"


def count_incomplete(session: Session, generation: Generation, embedder: KeepsFeatures) -> int:
    """Count the images of products that have a vector, but not all features."""
    which = _incomplete(generation, embedder)
    return session.scalar(select(func.count()).select_from(ImageVector).where(which)) or 0


def complete(
    db: Database,
    generation: Generation,
    embedder: KeepsFeatures,
    opener: ImageOpener,
    *,
    report: Callable[[int, int], None] = lambda _done, _total: None,
) -> Completion:
    """Embed the images whose kept features are incomplete, and store these.

    An image that cannot be read keeps what it has, and so does its product. A content that is
    another one than the vector is of is left to the next import.
    """
    kept_features.store_fingerprint(db, generation, embedder)
    with db.read() as session:
        total = count_incomplete(session, generation, embedder)
    report(0, total)
    found = Completion()
    for images in _parts(db, generation, embedder):
        tasks = zip(
            images, opener.open([it.uri for it in images], embedder.input_size), strict=True
        )
        while batch := list(islice(tasks, embedder.batch_size)):
            _complete_batch(db, embedder, batch, found)
            report(found.embedded + found.failed, total)
    return found


def _complete_batch(
    db: Database,
    embedder: KeepsFeatures,
    batch: Sequence[tuple[KeptImage, Decoded | ImageError]],
    found: Completion,
) -> None:
    good: dict[str, Decoded] = {}
    for image, opened in batch:
        if isinstance(opened, ImageError):
            found.fail(image, opened)
        elif opened.digest != image.digest:
            found.fail(image, ImageUnavailable("another image is there now"))
        else:
            good[image.digest] = opened
    if not good:
        return
    extracted = embedder.extract([each.image for each in good.values()])
    features = dict(zip(good, extracted, strict=True))
    finite = {digest: each for digest, each in features.items() if np.isfinite(each).all()}

    def write(session: Session) -> None:
        kept = named(session, finite)  # an image may have been purged meanwhile
        image_vectors.store(
            session,
            embedder.features_fingerprint,
            {digest: finite[digest] for digest in kept},
            may_replace=True,
        )

    db.write(write)
    found.embedded += len(good)


def _parts(
    db: Database, generation: Generation, embedder: KeepsFeatures
) -> Iterator[list[KeptImage]]:
    """Yield the images in the order of their digests, AT_ONCE at a time."""
    which, last = _incomplete(generation, embedder), ""
    while True:
        with db.read() as session:
            part = select(ImageVector.image_digest).where(which, ImageVector.image_digest > last)
            part = part.order_by(ImageVector.image_digest).limit(AT_ONCE)
            digests = session.scalars(part).all()
            images = _find(session, digests)
        if not digests:
            return
        last = digests[-1]
        yield images


def _find(session: Session, digests: Sequence[str]) -> list[KeptImage]:
    """Return where products have these contents, in the order of `digests`."""
    places: dict[str, str] = {}
    for digest, uri in (  # the first image of a product counts before a further one
        (ProductImage.digest, ProductImage.uri),
        (Product.image_digest, Product.image_uri),
    ):
        rows = session.execute(select(digest, uri).where(digest.in_(digests), uri.is_not(None)))
        places |= {str(digest_of): str(place) for digest_of, place in rows}
    return [KeptImage(digest, places[digest]) for digest in digests if digest in places]


def _incomplete(generation: Generation, embedder: KeepsFeatures) -> ColumnElement[bool]:
    """Tell of stored vectors whether they are of a product's image that lacks features."""
    features = aliased(ImageVector)
    size = embedder.features_size * image_vectors.STORED.itemsize
    is_complete = exists().where(
        features.image_digest == ImageVector.image_digest,
        features.fingerprint == embedder.features_fingerprint,
        func.length(features.vector) >= size,
    )
    has_product = or_(
        exists().where(Product.image_digest == ImageVector.image_digest),
        exists().where(ProductImage.digest == ImageVector.image_digest),
    )
    return and_(ImageVector.fingerprint == generation.fingerprint, ~is_complete, has_product)
