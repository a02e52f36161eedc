"""The cost and the benefit of building a graph for an embedded index that keeps answering.

    python benchmarks/optimizing.py [--count 40000] [--dims 384] [--quantization int8] [--threads 1]

The whole way is run: products and vectors in SQLite, the building process, the swap. Times of
searches are given relative to the index without a graph, measured in the same process, and the
build in seconds of CPU, so that they say something on a busy machine too.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from filtered_recall import exact, filters, recall
from sqlalchemy import insert
from vectors import Array, clustered, columns, payload, seconds

from backend import bootstrap
from backend.bootstrap import Services
from backend.catalogue.image_vectors import pack, unpack
from backend.database.models import ACTIVE, Generation, ImageVector, IndexEntry, Product
from backend.settings import read_settings
from backend.vectors import Point
from backend.vectors.edge.index import EdgeIndex
from backend.worker.loop import make_optimizer

PART = 5000
SWEEP = (0, 1000, 5000, 10_000, 20_000, 40_000)
Table = dict[str, Any]


def stock(services: Services, vectors: Array, table: Table, *, quantization: str | None) -> None:
    """Write products, vectors and settled entries, as after an import."""
    made = Generation(
        collection="g1",
        embedder="drawn",
        fingerprint="f",
        size=vectors.shape[1],
        state=ACTIVE,
        quantization=quantization,
    )
    services.db.write(lambda session: session.add(made))
    for start in range(0, len(vectors), PART):
        ids = range(start, min(start + PART, len(vectors)))
        rows: list[tuple[Any, list[dict[str, Any]]]] = [
            (Product, [{"id": n + 1, "sku": f"s{n}"} | payload(table, n) for n in ids]),
            (
                ImageVector,
                [
                    {"image_digest": f"d{n}", "fingerprint": "f", "vector": pack(vectors[n])}
                    for n in ids
                ],
            ),
            (
                IndexEntry,
                [
                    {
                        "generation_id": 1,
                        "product_id": n + 1,
                        **dict.fromkeys(("embedded", "indexed", "claim", "indexed_claim"), 1),
                        "embedded_digest": f"d{n}",
                        "due_at": None,
                    }
                    for n in ids
                ],
            ),
        ]
        for model, values in rows:
            services.db.write(lambda s, m=model, v=values: s.execute(insert(m), v))


def fill(index: EdgeIndex, vectors: Array, table: Table, rows: range, *, claim: int) -> None:
    """Write points, in batches as the worker does."""
    for start in range(rows.start, rows.stop, 256):
        index.upsert(
            [
                Point(id=n + 1, vector=vectors[n], payload=payload(table, n), claim=claim)
                for n in range(start, min(start + 256, rows.stop))
            ]
        )


def median_ms(index: EdgeIndex, vectors: Array, *, times: int = 100) -> float:
    """Return the median of unfiltered searches, in milliseconds."""
    asked = np.random.default_rng(3).choice(len(vectors), times)
    return 1000 * statistics.median(
        seconds(lambda n=n: index.nearest(vectors[n], limit=10)) for n in asked
    )


def found(index: EdgeIndex, vectors: Array, table: Table, *, times: int = 50) -> dict[str, float]:
    """Return recall@10 for each kind of filter."""
    asked = np.random.default_rng(4).choice(len(vectors), times)
    scores: dict[str, list[float]] = {}
    for row in asked:
        for name, (where, mask) in filters(table, int(row)).items():
            best = exact(vectors, vectors[row], mask)
            hits = index.nearest(vectors[row], limit=10, where=where)
            shifted = np.concatenate([[False], mask])  # ids begin at 1
            scores.setdefault(name, []).append(recall(hits, best, shifted))
    return {name: float(np.mean(each)) for name, each in scores.items()}


@dataclass
class Ticks:
    """The longest time in which no other thread ran, and the times of the searches."""

    longest: float = 0.0
    searches: list[float] = field(default_factory=list)


@contextmanager
def ticking(index: EdgeIndex | None = None, query: Array | None = None) -> Iterator[Ticks]:
    """Tick every millisecond in a thread, or search every 50; the context collects the times."""
    ticks, done = Ticks(), threading.Event()

    def tick() -> None:
        last = time.perf_counter()
        while not done.wait(0.001 if index is None else 0.05):
            if index is not None and query is not None:
                ticks.searches.append(seconds(lambda: index.nearest(query, limit=10)))
            now = time.perf_counter()
            ticks.longest, last = max(ticks.longest, now - last), now

    thread = threading.Thread(target=tick)
    thread.start()
    yield ticks
    done.set()
    thread.join()


def build(services: Services, index: EdgeIndex, vectors: Array) -> Ticks:
    """Build and swap, with a search every 50 ms until the builder has ended; print what it took."""
    with services.db.read() as session:
        generation = session.get_one(Generation, 1)
    optimizer = make_optimizer(services)
    optimizer.start(generation)
    process = optimizer.build_process
    assert process
    with ticking(index, vectors[0]) as beside:
        while not process.has_ended():
            time.sleep(0.1)
    with ticking() as swap:
        optimizer.step([generation])
    built = optimizer.outcome(1)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"built: {spent.ru_utime + spent.ru_stime:.0f} s of CPU in {built.seconds:.0f} s, "
        f"{built.peak_bytes / 2**20:.0f} MiB at most\n"
        f"swap: nothing else ran for {built.stall_seconds:.3f} s while it was loaded; "
        f"longest pause of the whole swap {swap.longest:.3f} s"
    )
    return beside


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=40_000)
    parser.add_argument("--dims", type=int, default=384)
    parser.add_argument("--quantization", choices=["int8"])
    parser.add_argument("--threads", type=int, default=1, help="0: one for each processor")
    asked = parser.parse_args()
    vectors, cluster = clustered(asked.count, asked.dims)
    vectors = np.stack([unpack(pack(vector)) for vector in vectors])
    table = columns(cluster)
    with tempfile.TemporaryDirectory() as folder:
        settings = read_settings(
            _env_file=None, data_dir=Path(folder), optimize_threads=asked.threads
        )
        services = bootstrap.build(settings)
        stock(services, vectors, table, quantization=asked.quantization)
        with services.db.read() as session:
            index = services.indexes.shard_of(session.get_one(Generation, 1))
        assert index
        fill(index, vectors, table, range(len(vectors)), claim=1)
        print(f"{asked.count} x {asked.dims}, {asked.quantization or 'not quantized'}")
        plain = median_ms(index, vectors)
        beside = build(services, index, vectors)
        print(f"without a graph a search takes {plain:.2f} ms; relative to that:")
        during = 1000 * statistics.median(beside.searches)
        print(f"  while the graph is built     {during / plain:.2f}")
        for written, more in zip(SWEEP, (*SWEEP[1:], 0), strict=True):
            print(f"  with it, {written:>6} points dirty {median_ms(index, vectors) / plain:.2f}")
            if not written:
                shares = found(index, vectors, table)
                print("  recall@10:", ", ".join(f"{k} {v:.3f}" for k, v in shares.items()))
            fill(index, vectors, table, range(written, min(more, asked.count)), claim=2)
        services.close()


if __name__ == "__main__":
    main()
