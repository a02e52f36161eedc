"""Recall@10 and latency of each way to search a graph, per shape of filter.

    python benchmarks/search_modes.py [--count 240000] [--dims 512] [--shard FOLDER]
    python benchmarks/search_modes.py --catalogue DATA_FOLDER
    python benchmarks/search_modes.py --grown FOLDER [--count 240000]

The first draws vectors in clusters, the second reads the vectors and columns of a catalogue that
was imported and embedded, the third those that `growth.py --keep FOLDER` has left with an index.
The shard is filled and optimized in a process of its own, which takes CPU minutes; `--shard` keeps
it for the next run. Each query is asked in turns as `plain`, `acorn`, `exact`, and as the index
chooses by itself. Latencies are ratios of medians to that of `plain`, then `plain` and `chosen` in
milliseconds of processor time. `unlike`: types of product that the query is not of. A neighbour
counts as found when it passes the filter and scores no less than the tenth exact one, by numpy.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import qdrant_edge as qe
from sqlalchemy import select
from vectors import SCHEMA, Array, clustered, columns, fill

from backend.catalogue.image_vectors import unpack
from backend.database.engine import Database
from backend.database.models import ACTIVE, Generation, ImageVector, IndexEntry, Product
from backend.filters import Condition, Schema, Where
from backend.indexing.payload import COLUMNS
from backend.vectors import Hit, SearchMode
from backend.vectors.edge.folders import FIRST
from backend.vectors.edge.index import EdgeIndex

LIMIT = 10
LEAST = 0.97
Column = npt.NDArray[Any]
Table = dict[str, Column]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Shop:
    """Vectors (n, dims), a column per payload field, and the fields' types."""

    vectors: Array
    table: Table
    schema: Schema


# --- the catalogue --------------------------------------------------------


def drawn(count: int, dims: int) -> Shop:
    """Draw vectors in clusters, with columns that are independent of the clusters."""
    vectors, cluster = clustered(count, dims)
    return Shop(vectors, columns(cluster), SCHEMA)


def catalogue(folder: Path) -> Shop:
    """Read an embedded catalogue: the products of the active generation that have a vector."""
    db = Database(f"sqlite:///{folder / 'lookalike.sqlite'}")
    with db.read() as session:
        rows = session.execute(
            select(Product, ImageVector.vector)
            .join(IndexEntry, IndexEntry.product_id == Product.id)
            .join(Generation, Generation.id == IndexEntry.generation_id)
            .join(
                ImageVector,
                (ImageVector.image_digest == IndexEntry.embedded_digest)
                & (ImageVector.fingerprint == Generation.fingerprint),
            )
            .where(Generation.state == ACTIVE)
            .order_by(Product.id)
        ).all()
    vectors = np.stack([unpack(blob) for _, blob in rows])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    fields = {name: kind for name, kind in COLUMNS.items() if kind in ("keyword", "integer")}
    table = {name: _column([getattr(it, name) for it, _ in rows], fields[name]) for name in fields}
    return Shop(vectors, table, fields)


def grown(folder: Path, count: int) -> Shop:
    """Read what `growth.py` has kept."""
    vectors = np.array(np.load(folder / "vectors.npy", mmap_mode="r")[:count])
    table = {name: column[:count] for name, column in np.load(folder / "columns.npz").items()}
    return Shop(vectors, table, SCHEMA)


def _column(values: list[Any], kind: str) -> Column:
    if kind == "integer":
        return np.array([0 if value is None else value for value in values])
    return np.array([value or "" for value in values])


# --- the filters ----------------------------------------------------------


def shapes(table: Table) -> dict[str, Where]:
    """Return a filter for each shape, of the catalogue's own values."""
    colour, rare, half = near(table, 0.10), near(table, 0.01), some_of(table["gender"], 0.4)
    years = span(table["year"], 0.3)
    season = "in_stock" if "in_stock" in table else "season"
    third = Condition(any_of=(True,)) if season == "in_stock" else most(table[season])
    one = most(table["gender"])
    return {
        "none": {},
        "10%": colour,
        "1%": rare,
        "range": {"year": years},
        "negation": {next(iter(colour)): Condition(none_of=next(iter(colour.values())).any_of)},
        "any of several": {"gender": half},
        "two clauses": {"gender": half, **colour},
        "two, range": {"gender": one, "year": years},
        "three clauses": {"gender": half, "year": years, season: third},
        "three, unlike": {
            "article_type": some_of(table["article_type"], 0.4),
            "year": span(table["year"], 0.5),
            season: third,
        },
        "three, narrow": {"gender": half, "year": span(table["year"], 0.1), **rare},
    }


def near(table: Table, share: float) -> Where:
    """Return the one clause on a colour or usage with the nearest share."""
    found: list[tuple[float, str, str]] = []
    for field in ("usage", "base_colour"):
        values, counts = np.unique(table[field], return_counts=True)
        shares = counts / len(table[field])
        found += [
            (abs(float(np.log(part / share))), field, str(value))
            for value, part in zip(values, shares, strict=True)
            if value
        ]
    _, field, value = min(found)
    return {field: Condition(any_of=(value,))}


def some_of(column: Column, share: float) -> Condition:
    """Return values that have about this share together, rare ones first."""
    values, counts = np.unique(column, return_counts=True)
    order = np.argsort(counts, kind="stable")
    upto = int(np.searchsorted(np.cumsum(counts[order]) / len(column), share)) + 1
    return Condition(any_of=tuple(str(values[which]) for which in order[:upto] if values[which]))


def most(column: Column) -> Condition:
    """Return the most frequent value."""
    values, counts = np.unique(column, return_counts=True)
    return Condition(any_of=(values[np.argmax(counts)].item(),))


def span(column: Column, share: float) -> Condition:
    """Return a range with about this share of the numbers."""
    low, high = np.quantile(column, [0.5 - share / 2, 0.5 + share / 2])
    return Condition(gte=float(low), lt=float(max(high, low + 1)))


def passing(table: Table, where: Where) -> Mask:
    """Return the rows that pass a filter."""
    mask = np.ones(len(next(iter(table.values()))), dtype=bool)
    for field, it in where.items():
        column = table[field]
        if it.any_of:
            mask &= np.isin(column, list(it.any_of))
        if it.none_of:
            mask &= ~np.isin(column, list(it.none_of))
        if it.gte is not None:
            mask &= (column >= it.gte) & (column < it.lt)
    return mask


# --- the searches ---------------------------------------------------------


def optimized(shop: Shop, folder: Path, arguments: list[str]) -> EdgeIndex:
    """Return the optimized index in a folder; build it in its own process if it is not there."""
    if not folder.exists():
        subprocess.run([sys.executable, __file__, *arguments, "--build", str(folder)], check=True)
    return EdgeIndex(folder, size=shop.vectors.shape[1], schema=shop.schema)


def build(shop: Shop, folder: Path) -> None:
    """Fill a shard and optimize it with the engine's defaults."""
    index = EdgeIndex(folder, size=shop.vectors.shape[1], schema=shop.schema)
    fill(index, shop.vectors, shop.table)
    index.close()
    shard = qe.EdgeShard.load(str(folder / FIRST))
    while shard.optimize():
        pass
    shard.flush()
    shard.close()


def exact(vectors: Array, query: Array, mask: Mask) -> Array:
    """Return the best scores among the rows that pass, best first, by comparing all."""
    scores = (vectors @ query)[mask]
    return np.sort(scores)[::-1][:LIMIT]


def unlike(table: Table, where: Where, rows: list[int]) -> list[int]:
    """Return the rows whose type the filter excludes."""
    types = passing(table, {"article_type": where["article_type"]})
    return [row for row in rows if not types[row]]


def cpu_in_turns(calls: list[Callable[[], list[Hit]]]) -> list[float]:
    """Return the milliseconds of processor time of each; the engine works in this thread."""
    times = [0.0] * len(calls)
    for which in random.sample(range(len(calls)), len(calls)):
        began = time.thread_time()
        calls[which]()
        times[which] = 1000 * (time.thread_time() - began)
    return times


def recall(hits: list[Hit], best: Array, mask: Mask) -> float:
    """Return the share of exact neighbours that were found; 1 where there are none."""
    if not len(best):
        return float(not hits)
    found = {hit.id for hit in hits if mask[hit.id] and hit.score >= best[-1] - 1e-5}
    return min(1.0, len(found) / len(best))


def ways(index: EdgeIndex) -> dict[str, Callable[..., list[Hit]]]:
    """Return each way to search; `chosen` leaves it to the index."""
    by_mode = {mode.value: partial(index.nearest, mode=mode) for mode in SearchMode}
    return {**by_mode, "chosen": index.nearest}


def measure(index: EdgeIndex, shop: Shop, queries: list[int]) -> bool:
    """Print a line per shape; return whether the chosen way finds enough for all of them."""
    asked = ways(index)
    print(f"{'filter':<16}{'passing':>9}  {'chosen':<8}", end="")
    print("".join(f"{way:>8}{'x':>6}" for way in asked), f"{'plain ms':>10}{'chosen ms':>11}")
    good = True
    for name, where in shapes(shop.table).items():
        mask = passing(shop.table, where)
        scores: dict[str, list[float]] = {way: [] for way in asked}
        times = []
        for row in unlike(shop.table, where, queries) if "unlike" in name else queries:
            query = shop.vectors[row]
            best = exact(shop.vectors, query, mask)
            calls = [partial(call, query, limit=LIMIT, where=where) for call in asked.values()]
            for way, call in zip(asked, calls, strict=True):
                scores[way].append(recall(call(), best, mask))
            times.append(cpu_in_turns(calls))
        took = dict(zip(asked, map(statistics.median, zip(*times, strict=True)), strict=True))
        mode = index.search_mode(where).value
        found = {way: float(np.mean(each)) for way, each in scores.items()}
        print(f"{name:<16}{mask.mean():>9.2%}  {mode:<8}", end="")
        ratios = {way: took[way] / took["plain"] for way in asked}
        cells = [f"{found[way]:>8.3f}{ratios[way]:>6.1f}" for way in asked]
        print("".join(cells) + f"{took['plain']:>11.2f}{took['chosen']:>11.2f}", flush=True)
        good = good and found["chosen"] >= LEAST
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=240_000)
    parser.add_argument("--dims", type=int, default=512)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--catalogue", type=Path, help="a data folder, instead of drawn vectors")
    parser.add_argument("--grown", type=Path, help="what growth.py has kept, instead")
    parser.add_argument("--shard", type=Path, help="keep the optimized shard here")
    parser.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    shop = shop_of(asked)
    if asked.build:
        build(shop, asked.build)
        return 0
    chosen = np.random.default_rng(2).choice(len(shop.vectors), asked.queries, replace=False)
    with tempfile.TemporaryDirectory() as folder:
        kept = asked.grown and asked.grown / f"graph-{asked.count}"
        index = optimized(shop, kept or asked.shard or Path(folder) / "shard", sys.argv[1:])
        print(f"{len(shop.vectors)} x {shop.vectors.shape[1]}, {asked.queries} queries a filter\n")
        good = measure(index, shop, chosen.tolist())
        index.close()
    return 0 if good else 1


def shop_of(asked: argparse.Namespace) -> Shop:
    if asked.grown:
        return grown(asked.grown, asked.count)
    return catalogue(asked.catalogue) if asked.catalogue else drawn(asked.count, asked.dims)


if __name__ == "__main__":
    sys.exit(main())
