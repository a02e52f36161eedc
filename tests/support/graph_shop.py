"""A small shop whose embedded index is worth a graph: products, vectors and entries, no images."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import insert, update

from backend import bootstrap, indexing, queue
from backend.bootstrap import Services
from backend.catalogue import products
from backend.catalogue.image_vectors import pack
from backend.database.engine import Database
from backend.database.models import ACTIVE, Generation, ImageVector, IndexEntry, Product
from backend.queue import SINGLE
from backend.settings import Settings
from backend.vectors import Vector
from backend.vectors.edge.index import EdgeIndex
from backend.worker.loop import Worker

SIZE = 8
FINGERPRINT = "f"


def vector_of(product_id: int) -> Vector:
    """Draw a product's vector, as SQL keeps it."""
    drawn = np.random.default_rng(product_id).normal(size=SIZE)
    return (drawn / np.linalg.norm(drawn)).astype(np.float16).astype(np.float32)


@dataclass
class Shop:
    """One process' services, as the owner of the index."""

    services: Services
    worker: Worker

    @classmethod
    def open(cls, settings: Settings, **changes: Any) -> Shop:
        """Open the shop; nothing runs until it is told to."""
        found = settings.model_copy(update={"embedder": "mean-colour", **changes})
        services = bootstrap.build(found)
        services.owner.acquire()
        return cls(services, Worker(services))

    @classmethod
    def founded(cls, settings: Settings, count: int, **changes: Any) -> Shop:
        """Open it with this many products, indexed, at a price of 1."""
        shop = cls.open(settings, **changes)
        stock(shop.services.db, count)
        shop.apply()
        return shop

    @property
    def generation(self) -> Generation:
        """The active generation."""
        with self.services.db.read() as session:
            return session.get_one(Generation, 1)

    @property
    def index(self) -> EdgeIndex:
        """Its index."""
        found = self.services.indexes.shard_of(self.generation)
        assert found
        return found

    def apply(self) -> None:
        """Write all that is due to the index."""
        lease = timedelta(seconds=self.services.settings.lease_seconds)
        while indexing.apply_pending(self.services.db, self.generation, self.index, lease=lease):
            pass

    def reprice(self, ids: Iterable[int], price: float) -> None:
        """Change prices, which only asks for a write."""
        some = list(ids)

        def change(session: Any) -> None:
            session.execute(update(Product).where(Product.id.in_(some)).values(price=price))
            queue.request(session, some, image=False, priority=SINGLE)

        self.services.db.write(change)

    def remove(self, ids: Iterable[int]) -> None:
        """Remove products."""
        skus = [f"s{number}" for number in ids]
        self.services.db.write(lambda s: products.remove(s, skus, priority=SINGLE))

    def prices(self) -> dict[int, float]:
        """Return the price of every point, as a search sees it."""
        hits = self.index.nearest(vector_of(1), limit=100_000, exact=True)
        return {hit.id: hit.payload["price"] for hit in hits}

    def finds(self, product_id: int) -> bool:
        """Tell whether a search with a product's own vector finds it first."""
        hits = self.index.nearest(vector_of(product_id), limit=1)
        return bool(hits) and hits[0].id == product_id

    def drift(self) -> int:
        """Count the products that are not in the index as SQL says."""
        found = indexing.reconcile(self.services.db, self.generation, self.index, fix=False)
        return found.total

    def folders(self) -> list[str]:
        """Name what the index's folder holds."""
        return sorted(entry.name for entry in self.folder.iterdir())

    @property
    def folder(self) -> Path:
        """Where the index lies."""
        return self.services.settings.index_dir / self.generation.collection

    def close(self) -> None:
        """Let go of everything, as the end of `serve` does."""
        self.worker.optimizer.stop()
        self.services.close()


def stock(db: Database, count: int) -> None:
    """Catalogue products whose vectors are known, each due to be written to the index."""
    ids = range(1, count + 1)
    db.write(
        lambda session: session.add(
            Generation(
                collection="g1",
                embedder="mean-colour",
                fingerprint=FINGERPRINT,
                size=SIZE,
                state=ACTIVE,
            )
        )
    )
    rows = [{"id": n, "sku": f"s{n}", "price": 1.0, "gender": f"g{n % 4}"} for n in ids]
    vectors = [
        {"image_digest": f"d{n}", "fingerprint": FINGERPRINT, "vector": pack(vector_of(n))}
        for n in ids
    ]
    entries = [
        {"generation_id": 1, "product_id": n, "embedded": 1, "embedded_digest": f"d{n}"}
        for n in ids
    ]
    for table, values in ((Product, rows), (ImageVector, vectors), (IndexEntry, entries)):
        db.write(lambda session, t=table, v=values: session.execute(insert(t), v))


def wait_until(what: Callable[[], object], *, seconds: float = 240) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
