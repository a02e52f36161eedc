"""The time that the embedded index adds to the engine's own calls: write, search, scroll.

    python benchmarks/vectors.py [--count 40000] [--dims 384]

Both sides run in turns in one process, so that the ratio says something on a busy machine too.
"""

from __future__ import annotations

import argparse
import itertools
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import qdrant_edge as qe

from backend.filters import FieldType
from backend.vectors import Point
from backend.vectors.edge.index import EdgeIndex

CLUSTERS = 140  # article types of a fashion catalogue
BATCH = 256
SCHEMA: dict[str, FieldType] = {
    "article_type": "keyword",
    "gender": "keyword",
    "usage": "keyword",
    "base_colour": "keyword",
    "year": "integer",
    "price": "float",
    "in_stock": "bool",
}

Array = npt.NDArray[np.float32]


def clustered(count: int, dims: int, *, seed: int = 0) -> tuple[Array, npt.NDArray[np.int64]]:
    """Draw unit vectors (count, dims) around random centres; return them and their clusters."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(CLUSTERS, dims))
    cluster = rng.integers(CLUSTERS, size=count)
    vectors = (centres[cluster] + rng.normal(size=(count, dims))).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), cluster


def columns(cluster: npt.NDArray[np.int64], *, seed: int = 1) -> dict[str, npt.NDArray[Any]]:
    """Draw payload columns: 10 even values of `usage`, 100 of `base_colour`."""
    rng = np.random.default_rng(seed)
    count = len(cluster)
    return {
        "article_type": np.char.add("type ", cluster.astype(str)),
        "gender": rng.choice(["Men", "Women", "Boys", "Girls", "Unisex"], count),
        "usage": np.char.add("usage ", rng.integers(10, size=count).astype(str)),
        "base_colour": np.char.add("colour ", rng.integers(100, size=count).astype(str)),
        "year": rng.integers(2008, 2018, size=count),
        "price": rng.uniform(1, 200, size=count).round(2),
        "in_stock": rng.random(count) < 0.8,
    }


def payload(table: dict[str, npt.NDArray[Any]], row: int) -> dict[str, Any]:
    """Return one row as a payload."""
    return {field: column[row].item() for field, column in table.items()}


def fill(index: EdgeIndex, vectors: Array, table: dict[str, npt.NDArray[Any]]) -> None:
    """Write all rows, the row number as the id."""
    for start in range(0, len(vectors), BATCH):
        index.upsert(
            [
                Point(id=row, vector=vectors[row], payload=payload(table, row), claim=1)
                for row in range(start, min(start + BATCH, len(vectors)))
            ]
        )


def seconds(call: Callable[[], object]) -> float:
    """Time one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def in_turns(calls: Sequence[Callable[[], object]]) -> list[float]:
    """Time calls in milliseconds, each once, in random order, because each warms other caches."""
    times = [0.0] * len(calls)
    for which in random.sample(range(len(calls)), len(calls)):
        times[which] = 1000 * seconds(calls[which])
    return times


def compare(index: EdgeIndex, vectors: Array, table: dict[str, npt.NDArray[Any]]) -> None:
    """Print what each kind of call takes through the adapter and without it."""
    shard = index._store._opened().shard
    claims = itertools.count(2)

    def points() -> list[Point]:
        claim = next(claims)
        return [
            Point(id=row, vector=vectors[row], payload=payload(table, row), claim=claim)
            for row in range(BATCH)
        ]

    def bare_upsert() -> None:
        rows = [
            qe.Point(it.id, it.vector.tolist(), {**it.payload, "claim": it.claim})
            for it in points()
        ]
        shard.update(qe.UpdateOperation.upsert_points(rows))

    nearest = qe.QueryRequest(
        query=qe.Query.Nearest(vectors[0].tolist()), limit=10, with_payload=True
    )
    walk = qe.ScrollRequest(limit=len(vectors), with_payload=["claim"])
    pairs: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        f"upsert of {BATCH} points": (lambda: index.upsert(points()), bare_upsert),
        "nearest 10": (
            lambda: index.nearest(vectors[0], limit=10),
            lambda: shard.query(nearest),
        ),
        "count": (index.count, lambda: shard.count(qe.CountRequest())),
        "walk of all claims": (lambda: list(index.claims()), lambda: shard.scroll(walk)),
    }
    print(f"\n{'call':<24}{'adapter ms':>12}{'engine ms':>12}{'ratio':>8}")
    for name, calls in pairs.items():
        rounds = [in_turns(calls) for _ in range(30)]
        ours, bare = (statistics.median(column) for column in zip(*rounds, strict=True))
        print(f"{name:<24}{ours:>12.3f}{bare:>12.3f}{ours / bare:>8.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=40_000)
    parser.add_argument("--dims", type=int, default=384)
    asked = parser.parse_args()
    vectors, cluster = clustered(asked.count, asked.dims)
    table = columns(cluster)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shard"
        index = EdgeIndex(path, size=asked.dims, schema=SCHEMA)
        filled = seconds(lambda: fill(index, vectors, table))
        print(f"filled {asked.count} x {asked.dims} in {filled:.1f} s")
        print(f"flushed in {1000 * seconds(index.flush):.0f} ms")
        compare(index, vectors, table)
        index.close()
        again = EdgeIndex(path, size=asked.dims, schema=SCHEMA)
        print(f"\nopened again in {1000 * seconds(again.ping):.0f} ms")
        again.close()


if __name__ == "__main__":
    main()
