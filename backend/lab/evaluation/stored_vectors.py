"""The vectors of the products that are evaluated: read from SQL, and computed where missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

import numpy as np

from backend.catalogue import image_vectors
from backend.database.engine import Database
from backend.embedders import Embedder, FloatArray
from backend.errors import ImageError, NotEvaluable
from backend.images.decoder_pool import Decoded
from backend.lab.evaluation.labels import CatalogueProduct
from backend.lab.types import OpenImages, Report

PART: Final = 1000
"""Digests in one SQL query."""


def embed_missing(
    db: Database,
    embedder: Embedder,
    products: Sequence[CatalogueProduct],
    *,
    open_images: OpenImages,
    report: Report,
) -> list[str | None]:
    """Compute and store the missing vectors; return the digest of each product's image.

    None stands for an image that cannot be used. A vector is stored under the digest of the file
    that was opened, so this may run beside a server, which would store the same vector.
    """
    digests = [product.digest for product in products]
    known = known_digests(db, embedder.fingerprint, digests)
    missing = [position for position, digest in enumerate(digests) if digest not in known]
    opened = open_images([products[position].uri for position in missing], embedder.input_size)
    tasks = zip(missing, opened, strict=True)
    report(done := len(products) - len(missing), len(products))
    while batch := list(islice(tasks, embedder.batch_size)):
        embedded = _embed(db, embedder, [one for _, one in batch])
        for (position, _), digest in zip(batch, embedded, strict=True):
            digests[position] = digest
        report(done := done + len(batch), len(products))
    return digests


def load_vectors(db: Database, fingerprint: str, digests: Sequence[str]) -> FloatArray:
    """Return the stored vectors of these images, (images, size) float32.

    Raises NotEvaluable when one is missing, which happens when a retired generation is dropped.
    """
    stored: dict[str, FloatArray] = {}
    with db.read() as session:
        for part in _parts(sorted(set(digests))):
            stored |= image_vectors.load(session, fingerprint, part)
    try:
        return np.stack([stored[digest] for digest in digests])
    except KeyError:
        raise NotEvaluable("vectors were deleted in the meantime: evaluate again") from None


def known_digests(db: Database, fingerprint: str, digests: Iterable[str | None]) -> set[str]:
    """Return the digests whose vector is stored."""
    present = sorted({digest for digest in digests if digest})
    with db.read() as session:
        return {
            digest
            for part in _parts(present)
            for digest in image_vectors.known(session, fingerprint, part)
        }


def _parts(digests: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(digests), PART):
        yield digests[start : start + PART]


def _embed(
    db: Database, embedder: Embedder, opened: Sequence[Decoded | ImageError]
) -> list[str | None]:
    """Embed and store one batch; return the digest of each image, None if it is unusable."""
    good = [one for one in opened if isinstance(one, Decoded)]
    vectors = embedder.embed([one.image for one in good]) if good else np.empty((0, 1), np.float32)
    sound = {
        one.digest: vector
        for one, vector in zip(good, vectors, strict=True)
        if np.isfinite(vector).all() and vector.any()  # a stored vector would not be computed again
    }
    db.write(lambda session: image_vectors.store(session, embedder.fingerprint, sound))
    return [
        one.digest if isinstance(one, Decoded) and one.digest in sound else None for one in opened
    ]
