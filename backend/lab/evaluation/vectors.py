"""The vectors of the products that are judged: those in SQL as they are, the missing ones made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from backend.catalogue import image_vectors
from backend.database.engine import Database
from backend.embedders import Embedder
from backend.errors import ImageError, NotEvaluable
from backend.images.decode import Size
from backend.images.decoder_pool import Decoded
from backend.lab.evaluation.products import Pictured

OpenPictures: TypeAlias = Callable[[Sequence[str | None], Size], Iterator[Decoded | ImageError]]
"""Opens pictures by their URIs: each as RGB of (height, width), or its error, in order."""

Report: TypeAlias = Callable[[int, int], None]
"""Is told how many products have a vector, of how many."""

PART: Final = 1000
"""Digests of one query."""


def embed_missing(
    db: Database,
    embedder: Embedder,
    products: Sequence[Pictured],
    *,
    open_images: OpenPictures,
    report: Report,
) -> list[str | None]:
    """Make and keep the vectors that are missing; return the digest of each product's picture.

    None stands for a picture that cannot be used. What is stored is not computed again. A vector is
    kept under the digest of what was opened, so this may run beside a server, which would make the
    same one.
    """
    digests = [product.digest for product in products]
    known = _known(db, embedder.fingerprint, digests)
    missing = [position for position, digest in enumerate(digests) if digest not in known]
    opened = open_images([products[position].uri for position in missing], embedder.input_size)
    tasks = zip(missing, opened, strict=True)
    report(done := len(products) - len(missing), len(products))
    while batch := list(islice(tasks, embedder.batch_size)):
        made = _embed(db, embedder, [one for _, one in batch])
        for (position, _), digest in zip(batch, made, strict=True):
            digests[position] = digest
        report(done := done + len(batch), len(products))
    return digests


def load_vectors(db: Database, fingerprint: str, digests: Sequence[str]) -> npt.NDArray[np.float32]:
    """Return the stored vectors of these pictures, (pictures, size) float32.

    Raises NotEvaluable when one is gone, which happens when a retired generation is dropped.
    """
    stored: dict[str, npt.NDArray[np.float32]] = {}
    with db.read() as session:
        for part in _parts(sorted(set(digests))):
            stored |= image_vectors.load(session, fingerprint, part)
    try:
        return np.stack([stored[digest] for digest in digests])
    except KeyError:
        raise NotEvaluable("vectors were dropped meanwhile: evaluate again") from None


def _known(db: Database, fingerprint: str, digests: Sequence[str | None]) -> set[str]:
    there = sorted({digest for digest in digests if digest})
    with db.read() as session:
        return {
            digest
            for part in _parts(there)
            for digest in image_vectors.known(session, fingerprint, part)
        }


def _parts(digests: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(digests), PART):
        yield digests[start : start + PART]


def _embed(
    db: Database, embedder: Embedder, opened: Sequence[Decoded | ImageError]
) -> list[str | None]:
    """Embed and keep one batch; return the digest of each picture, None of a useless one."""
    good = [one for one in opened if isinstance(one, Decoded)]
    vectors = embedder.embed([one.image for one in good]) if good else np.empty((0, 1), np.float32)
    sound = {
        one.digest: vector
        for one, vector in zip(good, vectors, strict=True)
        if np.isfinite(vector).all() and vector.any()  # else it would be taken for known
    }
    db.write(lambda session: image_vectors.store(session, embedder.fingerprint, sound))
    return [
        one.digest if isinstance(one, Decoded) and one.digest in sound else None for one in opened
    ]
