"""Features that an embedder keeps beside its vectors: other statistics need no forward pass."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import update
from sqlalchemy.orm import Session

from backend.catalogue import image_vectors
from backend.database.engine import Database
from backend.database.models import Generation
from backend.embedders import Embedder, KeepsFeatures
from backend.embedders.pixels import Pixels
from backend.images.decoder_pool import Decoded
from backend.vectors import Vector


@dataclass(frozen=True)
class Embedded:
    """What the embedder made of one image."""

    vector: Vector
    features: Vector | None = None  # None: this embedder keeps none


def embed(embedder: Embedder, images: Sequence[Decoded]) -> list[Embedded]:
    """Embed images: the vectors and, where the embedder keeps them, the features."""
    if not isinstance(embedder, KeepsFeatures):
        return [Embedded(vector) for vector in embedder.embed([each.image for each in images])]
    if all(each.size == embedder.input_size for each in images):
        features = embedder.extract_pixels(np.stack([_pixels(each) for each in images]))
    else:
        features = embedder.extract([each.image for each in images])
    return [Embedded(*both) for both in zip(embedder.project(features), features, strict=True)]


def _pixels(decoded: Decoded) -> Pixels:
    """Return an image as an array, without making a Pillow image of it."""
    return np.frombuffer(decoded.pixels, np.uint8).reshape(*decoded.size, 3)


def project_kept(
    session: Session, embedder: Embedder, digests: Collection[str]
) -> dict[str, Vector]:
    """Return the vectors of the images among these whose features are stored, by digest."""
    if not digests or not isinstance(embedder, KeepsFeatures):
        return {}
    stored = image_vectors.load(session, embedder.features_fingerprint, digests)
    kept = embedder.usable(stored)
    if not kept:
        return {}
    return dict(zip(kept, embedder.project(np.stack(list(kept.values()))), strict=True))


def store_fingerprint(db: Database, generation: Generation, embedder: Embedder) -> None:
    """Store the fingerprint of a generation's kept features, so that they are deleted with it."""
    if generation.features is not None or not isinstance(embedder, KeepsFeatures):
        return
    noted = update(Generation).where(Generation.id == generation.id)
    noted = noted.values(features=embedder.features_fingerprint)
    db.write(lambda session: session.execute(noted.execution_options(synchronize_session=False)))
    generation.features = embedder.features_fingerprint
