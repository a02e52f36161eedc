"""How to index a product with several images: the ways that the engine offers, side by side.

    python benchmarks/several_images.py [--count 40000] [--dims 512] [--images 4]

- `mean`: one vector, the mean of a product's images, scaled to length 1.
- `multivector`: one point with all vectors; the score is the greatest cosine of them.
- `points`: one point an image; hits of the same product are collapsed, the best one stays.

Products are drawn around the centres of categories, the images of one product around the product
as far apart as `--spread` says. A query is a new view of one of a product's images. `hit@10` is the
share of queries whose product is among the ten products found, `recall@10` that of the ten products
that a full scan finds by the greatest cosine. Times are medians of runs in turns. All indexes have
their graph built.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import qdrant_edge as qe
from vectors import clustered

BATCH = 256
LIMIT = 10

Array = npt.NDArray[np.float32]


def unit(vectors: Array) -> Array:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def build(folder: Path, points: list[qe.Point], size: int, *, several: bool) -> qe.EdgeShard:
    """Fill a shard and build its graph."""
    compare = qe.MultiVectorConfig(qe.MultiVectorComparator.MaxSim) if several else None
    vectors = qe.EdgeVectorParams(
        size=size, distance=qe.Distance.Cosine, multivector_config=compare
    )
    optimizers = qe.EdgeOptimizersConfig(default_segment_number=1, indexing_threshold=1)
    config = qe.EdgeConfig(vectors=vectors, optimizers=optimizers)
    folder.mkdir()
    shard = qe.EdgeShard.create(str(folder), config)
    shard.update(qe.UpdateOperation.create_field_index("product", qe.PayloadSchemaType.Integer))
    for start in range(0, len(points), BATCH):
        shard.update(qe.UpdateOperation.upsert_points(points[start : start + BATCH]))
    while shard.optimize():
        pass
    shard.flush()
    return shard


def bytes_in(folder: Path) -> int:
    """Return the disk space that a folder's files really take."""
    return sum(512 * file.stat().st_blocks for file in folder.rglob("*") if file.is_file())


def searches(
    shards: dict[str, qe.EdgeShard], images: int
) -> dict[str, Callable[[Array], list[int]]]:
    """Return what finds the ten nearest products, for each way."""

    def ids(name: str, vector: Array, limit: int) -> list[Any]:
        request = qe.QueryRequest(query=qe.Query.Nearest(vector.tolist()), limit=limit)
        return [hit.id for hit in shards[name].query(request)]

    def collapsed(vector: Array) -> list[int]:
        found = ids("points", vector, LIMIT * images)
        return list(dict.fromkeys(id_ // images for id_ in found))[:LIMIT]

    return {
        "mean": lambda vector: ids("mean", vector, LIMIT),
        "multivector": lambda vector: ids("multivector", vector, LIMIT),
        "points": collapsed,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=40_000)
    parser.add_argument("--dims", type=int, default=512)
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--spread", type=float, default=1.0)
    options = parser.parse_args()
    count, images, size = options.count, options.images, options.dims
    rng = np.random.default_rng(3)
    centres, _ = clustered(count, size)
    noise = rng.normal(size=(count, images, size)).astype(np.float32) / np.sqrt(size)
    views = unit(centres[:, None] + options.spread * noise)
    asked = rng.choice(count, options.queries, replace=False)
    which = rng.integers(images, size=options.queries)
    shift = rng.normal(size=(options.queries, size)).astype(np.float32) / np.sqrt(size)
    queries = unit(views[asked, which] + 0.5 * shift)
    exact = [np.argsort(-(views @ query).max(axis=1))[:LIMIT].tolist() for query in queries]

    mean = unit(views.mean(axis=1))
    makes: dict[str, Callable[[], list[qe.Point]]] = {
        "mean": lambda: [
            qe.Point(id=at, vector=mean[at].tolist(), payload={"product": at})
            for at in range(count)
        ],
        "multivector": lambda: [
            qe.Point(id=at, vector=views[at].tolist(), payload={"product": at})
            for at in range(count)
        ],
        "points": lambda: [
            qe.Point(
                id=at * images + number,
                vector=views[at, number].tolist(),
                payload={"product": at},
            )
            for at in range(count)
            for number in range(images)
        ],
    }
    with tempfile.TemporaryDirectory() as folder:
        shards, sizes, seconds = {}, {}, {}
        for name, make in makes.items():
            began = time.process_time()
            place = Path(folder) / name
            shards[name] = build(place, make(), size, several=name == "multivector")
            seconds[name], sizes[name] = time.process_time() - began, bytes_in(place)
            print(f"built {name}: {seconds[name]:.0f} CPU seconds", flush=True)
        ways = searches(shards, images)
        times: dict[str, list[float]] = {name: [] for name in ways}
        hits, recalls = dict.fromkeys(ways, 0), dict.fromkeys(ways, 0.0)
        for at, query in enumerate(queries):
            for name, find in ways.items():
                began = time.perf_counter()
                found = find(query)
                times[name].append(time.perf_counter() - began)
                hits[name] += int(asked[at]) in found
                recalls[name] += len(set(found) & set(exact[at])) / LIMIT
        median = {name: statistics.median(each) for name, each in times.items()}
        print(f"{count} products, {images} images each, {size} dimensions, spread {options.spread}")
        print("| way | hit@10 | recall@10 | time / mean's | disk / mean's | build CPU / mean's |")
        print("|---|---|---|---|---|---|")
        for name in ways:
            print(
                f"| {name} | {hits[name] / len(queries):.3f} | {recalls[name] / len(queries):.3f} "
                f"| {median[name] / median['mean']:.2f} | {sizes[name] / sizes['mean']:.2f} "
                f"| {seconds[name] / seconds['mean']:.2f} |"
            )


if __name__ == "__main__":
    main()
