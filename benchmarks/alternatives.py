"""Similar products beside what one would use instead: time and recall@10, in turns in one run.

    pip install annoy hnswlib faiss-cpu
    OMP_NUM_THREADS=1 python benchmarks/alternatives.py [--count 240000] [--dims 512]
    OMP_NUM_THREADS=1 python benchmarks/alternatives.py --catalogue DATA_FOLDER

Ours is the embedded index with its graph, which filters while it searches. Annoy (50 and 100
trees), hnswlib and faiss know no filter: they are asked for 500 candidates, of which those that do
not pass are left out. Qdrant's local mode compares all points in Python and numpy. The similarity
matrix in pandas is computed once, so its memory grows with the square of the count: above 20,000
products it is left out. The loop compares one image after another. What is not installed is left
out too. Each contender gets one thread.

A neighbour counts as found when it passes the filter and scores no less than the tenth exact one.
Medians of the queries, and in brackets the quartiles.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from qdrant_client import QdrantClient, models
from search_modes import LIMIT, Mask, Shop, catalogue, drawn, exact, optimized, passing, shapes
from vectors import Array, in_turns, payload

from backend.filters import Where
from backend.vectors.server.queries import SERVER_FILTERS
from backend.vectors.translate import translate

CANDIDATES = 500
MOST_IN_MATRIX = 20_000
FILTERED = ("none", "10%", "three clauses")
PAGE = 1_000


@dataclass(frozen=True)
class Question:
    """What is asked: the ids of the nearest products that pass the filter."""

    query: Array
    where: Where
    mask: Mask  # of the rows that pass


Search: TypeAlias = Callable[[Question], Sequence[int]]


def main() -> None:
    options = parse()
    shop = catalogue(options.catalogue) if options.catalogue else drawn(options.count, options.dims)
    with tempfile.TemporaryDirectory(prefix="alternatives-") as folder:
        shard = options.shard or Path(folder) / "shard"
        arguments = [f"--count={options.count}", f"--dims={options.dims}"]
        if options.catalogue:
            arguments = [f"--catalogue={options.catalogue}"]
        index = optimized(shop, shard, arguments)

        def ours(asked: Question) -> list[int]:
            hits = index.nearest(asked.query, limit=LIMIT, where=asked.where, payloads=False)
            return [hit.id for hit in hits]

        contenders: dict[str, Search] = {"ours": ours, **built(shop)}
        print(
            f"\n{len(shop.vectors)} x {shop.vectors.shape[1]}, {options.queries} queries a filter"
        )
        for name in FILTERED:
            compare(name, shop, contenders, options.queries)
        index.close()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=240_000)
    parser.add_argument("--dims", type=int, default=512)
    parser.add_argument("--queries", type=int, default=20)
    parser.add_argument("--catalogue", type=Path, help="a data folder, instead of drawn vectors")
    parser.add_argument("--shard", type=Path, help="keep our optimized shard here")
    return parser.parse_args()


def built(shop: Shop) -> dict[str, Search]:
    """Build each contender that is installed, and print how long that took."""
    makers: dict[str, Callable[[Shop], Search]] = {
        "Annoy, 50 trees": partial(annoy, trees=50),
        "Annoy, 100 trees": partial(annoy, trees=100),
        "hnswlib": hnswlib,
        "faiss HNSW": faiss_graph,
        "faiss flat": faiss_flat,
        "Qdrant, local mode": local_mode,
        "pandas matrix": matrix,
        "one by one": one_by_one,
    }
    found: dict[str, Search] = {}
    for name, make in makers.items():
        began = time.process_time()
        try:
            found[name] = make(shop)
        except (ImportError, MemoryError) as error:
            print(f"{name} is left out: {error}")
        else:
            print(f"{name}: built in {time.process_time() - began:.1f} s of CPU", flush=True)
    return found


# --- the contenders -----------------------------------------------------------------------------


def after_search(candidates: Callable[[Array, int], Sequence[int]]) -> Search:
    """Filter what was found: the first ten candidates that pass."""

    def search(asked: Question) -> list[int]:
        if not asked.where:
            return list(candidates(asked.query, LIMIT))
        return [row for row in candidates(asked.query, CANDIDATES) if asked.mask[row]][:LIMIT]

    return search


def annoy(shop: Shop, *, trees: int) -> Search:
    index = import_module("annoy").AnnoyIndex(shop.vectors.shape[1], "angular")
    for row, vector in enumerate(shop.vectors):
        index.add_item(row, vector)
    index.build(trees, n_jobs=1)
    return after_search(index.get_nns_by_vector)


def hnswlib(shop: Shop) -> Search:
    index = import_module("hnswlib").Index(space="ip", dim=shop.vectors.shape[1])
    index.init_index(len(shop.vectors), ef_construction=100, M=16)
    index.set_num_threads(1)
    index.add_items(shop.vectors)

    def candidates(query: Array, count: int) -> list[int]:
        index.set_ef(max(100, count))
        found: list[int] = index.knn_query(query, k=count)[0][0].tolist()
        return found

    return after_search(candidates)


def faiss_graph(shop: Shop) -> Search:
    faiss = import_module("faiss")
    faiss.omp_set_num_threads(1)
    index = faiss.IndexHNSWFlat(shop.vectors.shape[1], 16, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 100
    index.add(shop.vectors)

    def candidates(query: Array, count: int) -> list[int]:
        index.hnsw.efSearch = max(100, count)
        found: list[int] = index.search(query[None], count)[1][0].tolist()
        return found

    return after_search(candidates)


def faiss_flat(shop: Shop) -> Search:
    faiss = import_module("faiss")
    faiss.omp_set_num_threads(1)
    index = faiss.IndexFlatIP(shop.vectors.shape[1])
    index.add(shop.vectors)
    return after_search(lambda query, count: index.search(query[None], count)[1][0].tolist())


def local_mode(shop: Shop) -> Search:
    client = QdrantClient(":memory:")
    size = shop.vectors.shape[1]
    config = models.VectorParams(size=size, distance=models.Distance.DOT)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it is meant for small collections
        client.create_collection("products", vectors_config=config)
        for start in range(0, len(shop.vectors), PAGE):
            rows = range(start, min(start + PAGE, len(shop.vectors)))
            points = [
                models.PointStruct(
                    id=row, vector=shop.vectors[row].tolist(), payload=payload(shop.table, row)
                )
                for row in rows
            ]
            client.upsert("products", points)

    def search(asked: Question) -> list[int]:
        found = client.query_points(
            "products",
            query=asked.query.tolist(),
            limit=LIMIT,
            query_filter=translate(asked.where, shop.schema, SERVER_FILTERS),
            with_payload=False,
        )
        return [int(point.id) for point in found.points]

    return search


def matrix(shop: Shop) -> Search:
    count = len(shop.vectors)
    if count > MOST_IN_MATRIX:
        raise MemoryError(f"{4 * count * count / 2**30:.0f} GiB")
    similar = import_module("pandas").DataFrame(shop.vectors @ shop.vectors.T)
    row_of = {vector.tobytes(): row for row, vector in enumerate(shop.vectors)}

    def search(asked: Question) -> list[int]:
        row = similar[row_of[asked.query.tobytes()]]
        found: list[int] = (row[asked.mask] if asked.where else row).nlargest(LIMIT).index.tolist()
        return found

    return search


def one_by_one(shop: Shop) -> Search:
    def search(asked: Question) -> list[int]:
        scores = [
            (float(np.dot(asked.query, vector)), row)
            for row, vector in enumerate(shop.vectors)
            if asked.mask[row]
        ]
        return [row for _, row in sorted(scores, reverse=True)[:LIMIT]]

    return search


# --- the comparison -----------------------------------------------------------------------------


def compare(name: str, shop: Shop, contenders: dict[str, Search], count: int) -> None:
    """Ask all contenders the same queries in turns, and print a line for each."""
    where = shapes(shop.table)[name]
    mask = passing(shop.table, where)
    rows = np.random.default_rng(2).choice(len(shop.vectors), count, replace=False)
    found: dict[str, list[float]] = {contender: [] for contender in contenders}
    times = []
    for row in rows:
        query = shop.vectors[row]
        best = exact(shop.vectors, query, mask)
        calls: list[Callable[[], Any]] = [
            partial(search, Question(query, where, mask)) for search in contenders.values()
        ]
        for contender, call in zip(contenders, calls, strict=True):
            found[contender].append(share_found(call(), shop, query, best, mask))
        times.append(in_turns(calls))
    print(f"\n{name} ({mask.mean():.1%} pass)\n{'':<20}{'recall@10':>10}{'x ours':>9}{'ms':>9}")
    columns = dict(zip(contenders, zip(*times, strict=True), strict=True))
    ours = statistics.median(columns["ours"])
    for contender, each in columns.items():
        low, middle, high = statistics.quantiles(each, n=4)
        recall = statistics.mean(found[contender])
        spread = f"[{low:.2f}, {high:.2f}]"
        print(f"{contender:<20}{recall:>10.3f}{middle / ours:>9.1f}{middle:>9.2f}  {spread}")
    sys.stdout.flush()


def share_found(rows: Sequence[int], shop: Shop, query: Array, best: Array, mask: Mask) -> float:
    """Return the share of the exact neighbours that were found; 1 where there are none."""
    if not len(best):
        return float(not rows)
    right = [row for row in set(rows) if mask[row] and shop.vectors[row] @ query >= best[-1] - 1e-5]
    return min(1.0, len(right) / len(best))


if __name__ == "__main__":
    main()
