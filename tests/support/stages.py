"""The workshop's floor: a small catalogue with real pictures, and both stages to hand."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from PIL import Image

from backend import generations, indexing
from backend.catalogue import products
from backend.catalogue.products import Draft, ImageRef
from backend.database.engine import Database
from backend.database.models import Generation
from backend.embedders.mean_colour import MeanColour
from backend.errors import ImageUnavailable
from backend.images.decoder_pool import DecoderPool
from backend.images.limits import ImageLimits
from backend.images.open_images import ImageOpener
from backend.images.store import ImageStore
from backend.indexing import EmbedOptions
from backend.queue import SINGLE
from backend.queue.progress import Progress, progress, quarantine

LIMITS = ImageLimits(max_bytes=1_000_000, max_pixels=1_000_000, max_side=2000, min_side=8)
LEASE = timedelta(minutes=2)


def picture(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (30, 40), colour).save(file, "PNG")
    return file.getvalue()


def reference(uri: str, data: bytes) -> ImageRef:
    """What an import knows of a file."""
    digest = hashlib.sha256(data).hexdigest()
    return ImageRef(uri=uri, digest=digest, bytes=len(data), mtime_ns=0)


class CountedPictures(ImageOpener):
    """Pictures that remember which of them were opened."""

    opened: list[str | None]

    def open(self, uris: Sequence[str | None], target: Any) -> Iterator[Any]:
        self.opened += uris
        return super().open(uris, target)


class TouchyEmbedder(MeanColour):
    """An embedder that does something whenever an image of some colour is in the batch."""

    def __init__(self) -> None:
        super().__init__(grid=2)
        self.batches: list[int] = []
        self.moods: dict[str, Callable[[Any], Any]] = {}

    def embed(self, images: Sequence[Image.Image]) -> Any:
        self.batches.append(len(images))
        vectors = super().embed(images)
        for row, image in enumerate(images):
            for colour, mood in self.moods.items():
                if image.getpixel((0, 0)) == Image.new("RGB", (1, 1), colour).getpixel((0, 0)):
                    vectors[row] = mood(vectors[row])
        return vectors


def broken(_vector: Any) -> Any:
    raise ValueError("this one hurts")


class Floor:
    """A catalogue, its pictures in a folder, an index, and what works on them."""

    def __init__(self, db: Database, folder: Path, decoders: DecoderPool, index: Any) -> None:
        self.db = db
        self.folder = folder
        self.index = index
        self.embedder = TouchyEmbedder()
        self.remote: dict[str, bytes] = {}
        self.pictures = CountedPictures(
            ImageStore((folder / "store").as_uri()), decoders, fetch=self._fetch
        )
        self.pictures.opened = []
        self.options = EmbedOptions(
            claim_size=8, batch_size=4, lease=LEASE, max_failures=3, retry=timedelta(0)
        )
        encoder = generations.EmbedderIdentity(
            spec="mean-colour?grid=2",
            fingerprint=self.embedder.fingerprint,
            size=self.embedder.size,
        )
        self.generation: Generation = generations.ensure_first(db, encoder)

    def _fetch(self, uri: str) -> bytes:
        if uri not in self.remote:
            raise ImageUnavailable("the host does not answer")
        return self.remote[uri]

    def save(self, sku: str, data: bytes | None = None, **values: Any) -> int:
        """Save a product, with another image if there is data."""
        image = None
        if data is not None:
            path = self.folder / f"{sku}.png"
            path.write_bytes(data)
            image = reference(path.as_uri(), data)
        return self.save_reference(sku, image, **values)

    def save_reference(self, sku: str, image: ImageRef | None, **values: Any) -> int:
        draft = Draft(sku=sku, values=values, image=image)
        saved = self.db.write(
            lambda session: products.save(session, [draft], priority=SINGLE, complete=False)
        )
        return saved.ids[sku]

    def remove(self, sku: str) -> None:
        self.db.write(lambda session: products.remove(session, [sku], priority=SINGLE))

    def embed(self) -> int:
        return indexing.embed_pending(
            self.db,
            self.generation,
            embedder=self.embedder,
            image_opener=self.pictures,
            options=self.options,
        )

    def apply(self) -> int:
        return indexing.apply_pending(self.db, self.generation, self.index, lease=LEASE)

    def work(self) -> None:
        """Work until nothing is due."""
        while self.embed() + self.apply():
            pass

    def progress(self) -> Progress:
        with self.db.read() as session:
            return progress(session, self.generation.id)

    def quarantine(self) -> dict[str, str]:
        with self.db.read() as session:
            return {row.sku: row.reason for row in quarantine(session, self.generation.id)}

    def payload(self, id_: int) -> Any:
        """What the index shows of a product; None without a point."""
        vector = self.index.vector(id_)
        if vector is None:
            return None
        hits = self.index.nearest(vector, limit=100)
        return next(hit.payload for hit in hits if hit.id == id_)
