"""A shop's catalogue through the services of any process: what `Shop` and `Installation` share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import func, select

from backend import generations
from backend.bootstrap import Services
from backend.catalogue import products
from backend.catalogue.products import Draft, ImageRef
from backend.database.engine import Database
from backend.database.models import Generation, Product
from backend.images.store import digest_of
from backend.queue import SINGLE
from backend.queue.progress import Progress, progress, quarantine
from backend.vectors import VectorIndex
from support.image_files import random_image

COLUMNS = "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage"


class Catalogue:
    """Writes products as the API does, and looks at what became of them."""

    def __init__(self, services: Services) -> None:
        self.services = services

    @property
    def db(self) -> Database:
        return self.services.db

    # --- writing ---------------------------------------------------------------------------

    def store(self, data: bytes) -> ImageRef:
        """Put an image into the store; return what a product knows of it."""
        digest = self.services.image_store.put(data)
        uri = self.services.image_store.uri(digest)
        return ImageRef(uri=uri, digest=digest, bytes=len(data))

    def save(
        self,
        sku: str,
        data: bytes | None = None,
        *,
        image: ImageRef | None = None,
        priority: int = SINGLE,
        **values: Any,
    ) -> int:
        """Save a product, with another image if there is one; return its id."""
        image = self.store(data) if data is not None else image
        draft = Draft(sku=sku, values=values, image=image)
        saved = self.db.write(
            lambda session: products.save(session, [draft], priority=priority, complete=False)
        )
        return saved.ids[sku]

    def remove(self, *skus: str) -> None:
        self.db.write(lambda session: products.remove(session, skus, priority=SINGLE))

    def execute(self, statement: Any) -> None:
        """Change rows as no part of the product would."""
        self.db.write(lambda session: session.execute(statement))

    # --- looking ---------------------------------------------------------------------------

    @property
    def generation(self) -> Generation:
        """The active generation."""
        with self.db.read() as session:
            return generations.active(session)

    def generation_in(self, state: str) -> Generation:
        with self.db.read() as session:
            found = generations.in_state(session, state)
        assert found is not None, self.states()
        return found

    def states(self) -> dict[int, str]:
        """The state of every generation."""
        with self.db.read() as session:
            return {row.id: row.state for row in session.scalars(select(Generation))}

    def count(self, row: Any, **where: Any) -> int:
        with self.db.read() as session:
            return session.scalar(select(func.count()).select_from(row).filter_by(**where)) or 0

    def progress(self) -> Progress:
        with self.db.read() as session:
            found = generations.active_or_none(session)
            return progress(session, found.id if found else None)

    def quarantine(self) -> dict[str, str]:
        """The reason of each sku in quarantine."""
        with self.db.read() as session:
            return {row.sku: row.reason for row in quarantine(session, self.generation.id)}

    @property
    def index(self) -> VectorIndex:
        return self.services.indexes.of(self.generation)

    def prices(self) -> dict[int, float | None]:
        """The price of every point, as a search sees it."""
        query = np.ones(self.index.size, dtype=np.float32)
        hits = self.index.nearest(query, limit=100_000, exact=True)
        return {hit.id: hit.payload.get("price") for hit in hits}

    def payload(self, id_: int) -> Any:
        """What the index shows of a product; None without a point."""
        found = self.index.records([id_])
        return found[0].payload if found else None

    def skus_in(self, generation: Generation) -> set[str]:
        """What the index of a generation itself holds."""
        ids = [id_ for id_, _ in self.services.indexes.of(generation).claims()]
        with self.db.read() as session:
            return set(session.scalars(select(Product.sku).where(Product.id.in_(ids))))


def file_reference(path: Path, data: bytes) -> ImageRef:
    """What an import knows of a file that stays in its place."""
    return ImageRef(uri=path.as_uri(), digest=digest_of(data), bytes=len(data), mtime_ns=0)


def draw_catalogue(folder: Path, count: int, *, first: int = 0) -> Path:
    """Write a styles.csv and its images."""
    (folder / "images").mkdir(parents=True)
    rows = [f"{COLUMNS},productDisplayName"]
    for number in range(first, first + count):
        (folder / "images" / f"{number}.jpg").write_bytes(random_image(number))
        rows.append(f"{number},Women,Apparel,Topwear,Tops,Red,Fall,2012,Casual,Top {number}")
    (folder / "styles.csv").write_text("\n".join(rows) + "\n")
    return folder
