"""A shop that is re-indexed: its images show what their labels say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image
from sqlalchemy import select

from backend import jobs
from backend import reindex as reindexing
from backend.database.models import (
    ACTIVE,
    Job,
    Product,
)
from backend.reindex import ReindexPlan
from backend.search.query import Answer, Query
from backend.vectors.edge.index import EdgeIndex
from support.image_files import encoded
from support.shop import Shop

COLOURS = {"Red": (200, 30, 30), "Green": (30, 160, 40), "Blue": (30, 40, 190)}
BETTER = "mean-colour?grid=4"


def photograph(kind: str, number: int) -> bytes:
    """A garment of a colour, with noise that differs from image to image."""
    noise = np.random.default_rng(number).normal(0, 25, (16, 12, 3))
    pixels = np.clip(np.asarray(COLOURS[kind]) + noise, 0, 255).astype(np.uint8)
    return encoded(Image.fromarray(pixels).resize((48, 64)))


class ReindexedShop(Shop):
    """A shop whose products have labels, and which is re-indexed."""

    def add(self, sku: str, kind: str, number: int) -> None:
        self.save(sku, photograph(kind, number), article_type=kind)

    def fill(self, count: int) -> None:
        kinds = list(COLOURS)
        for number in range(count):
            self.add(f"s{number}", kinds[number % len(kinds)], number)
        self.work()

    def reindex(self, **plan: Any) -> Job:
        return self.follow(reindexing.request(self.db, ReindexPlan(**plan)).id)

    def promote(self, generation_id: int, *, force: bool = False) -> Job:
        job = reindexing.request_promotion(self.db, generation_id, force=force)
        return self.follow(job.id)

    def roll_back(self, **arguments: bool) -> dict[str, Any]:
        return self.services.promoter.roll_back(**arguments)

    def similar(self, sku: str) -> Answer:
        return self.services.similar.to_product(sku, Query())

    @property
    def ids(self) -> dict[str, int]:
        """The id of every product."""
        with self.db.read() as session:
            return {row.sku: row.id for row in session.scalars(select(Product))}

    def stored_payload(self, sku: str) -> dict[str, Any]:
        """Return all that the active index stores with a product's point."""
        index = self.services.indexes.of(self.generation_in(ACTIVE))
        assert isinstance(index, EdgeIndex)
        with index.store.using() as shard:
            found = shard.retrieve([self.ids[sku]], True, False)
        return dict(found[0].payload or {})

    def unfinished_reindex(self) -> Job | None:
        with self.db.read() as session:
            return next(iter(jobs.unfinished(session, "reindex")), None)


REINDEX_SETTINGS: Mapping[str, Any] = {
    "embedder": "mean-colour?grid=1",
    "poll_seconds": 0.05,
    "retry_seconds": 0.0,
    "promote_samples": 40,
    "drop_seconds": 0.0,
}
