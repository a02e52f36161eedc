"""The CPU time of `lookalike verify` for a product, on SQLite and the embedded index.

    python benchmarks/verifying.py [--count 20000] [--dims 384]

CPU time, so that it says something on a busy machine too. The catalogue is drawn, and written
straight into the tables as if it had been indexed.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import null
from vectors import clustered

from backend import indexing
from backend.catalogue import image_vectors
from backend.database import migrate
from backend.database.engine import Database
from backend.database.models import ACTIVE, Generation, IndexEntry, Product
from backend.indexing import Drift, payload, schema
from backend.vectors import Point
from backend.vectors.edge.index import EdgeIndex

CHUNK = 2000
AT_SCALE = 10_000_000


def fill(db: Database, index: EdgeIndex, count: int) -> Generation:
    """Write a catalogue of indexed products."""
    vectors, cluster = clustered(count, index.size)
    generation = Generation(
        collection="drawn", embedder="drawn", fingerprint="drawn", size=index.size, state=ACTIVE
    )
    db.write(lambda session: session.add(generation))
    for start in range(0, count, CHUNK):
        rows = range(start, min(start + CHUNK, count))
        products = [drawn(row, int(cluster[row])) for row in rows]
        entries = [
            IndexEntry(
                generation_id=generation.id,
                product_id=row + 1,
                embedded=1,
                embedded_digest=f"{row:064x}",
                indexed=1,
                claim=1,
                indexed_claim=1,
                due_at=null(),  # None would draw the column's default
            )
            for row in rows
        ]
        found = {f"{row:064x}": vectors[row] for row in rows}

        def write(session, products=products, entries=entries, found=found):  # type: ignore[no-untyped-def]
            session.add_all(products)
            session.flush()
            session.add_all(entries)
            image_vectors.store(session, "drawn", found)

        db.write(write)
        index.upsert(
            [
                Point(id=it.id, vector=vectors[it.id - 1], payload=payload(it), claim=1)
                for it in products
            ]
        )
    return generation


def drawn(row: int, cluster: int) -> Product:
    """Draw one product as a feed has it."""
    return Product(
        id=row + 1,
        sku=f"{row:08d}",
        display_name=f"Product number {row} of its kind",
        gender=("Men", "Women", "Boys", "Girls")[row % 4],
        master_category="Apparel",
        sub_category=f"category {cluster % 20}",
        article_type=f"type {cluster}",
        base_colour=f"colour {row % 40}",
        season="Summer",
        usage="Casual",
        year=2008 + row % 10,
        price=row % 200 + 0.99,
        in_stock=True,
        attributes={"pattern": "solid", "fit": "slim"},
        image_digest=f"{row:064x}",
    )


def cost(verify: Callable[[], Drift], count: int) -> float:
    """Return the CPU microseconds a product, all threads of the engine included."""
    began = time.process_time()
    drift = verify()
    assert drift.compared, "nothing was at rest"
    assert drift.total == 0, drift.summary()
    return (time.process_time() - began) / count * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--dims", type=int, default=384)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        db = Database(f"sqlite:///{folder}/catalogue.sqlite")
        migrate.migrate(db)
        index = EdgeIndex(Path(folder) / "index", size=asked.dims, schema=schema())
        generation = fill(db, index, asked.count)
        print(f"{asked.count} products x {asked.dims}\n")
        print(f"{'pass':<16}{'us/product':>12}{'CPU minutes at 10 million':>28}")
        for name, full in (("verify", False), ("verify --full", True)):

            def verify(full: bool = full) -> Drift:
                return indexing.reconcile(db, generation, index, fix=False, full=full)

            each = min(cost(verify, asked.count) for _ in range(3))
            print(f"{name:<16}{each:>12.0f}{each * AT_SCALE / 6e7:>28.0f}")
        index.close()
        db.close()


if __name__ == "__main__":
    main()
