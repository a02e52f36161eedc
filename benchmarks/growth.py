"""What a search, a write, memory, disk and a rebuild cost as an embedded index grows.

    python benchmarks/growth.py --catalogue DATA_FOLDER [--counts 10000 40000 100000 240000]
    python benchmarks/growth.py --vectors VECTORS.npy [--plot growth.png] [--pause 2.5]
    python benchmarks/growth.py --catalogue DATA_FOLDER --keep FOLDER   # goes on where it ended

The vectors are those of an embedded catalogue (or of a file: (n, dims), float32), as many as there
are. Further ones are drawn between a real vector and its ten nearest: the vector plus a normal
share of each difference. The width of the shares is chosen so that a quarter of the real ones,
grown to as many as there are, has its tenth neighbours as far away as the real ones have; both are
printed first. The columns of a catalogue come along: a drawn vector has the type and gender of the
product that it was drawn from, and the usage, colour and year of that one or of a neighbour. Price
and stock are drawn, and so are all columns of vectors from a file.

Each index is filled, built and measured in a process of its own. `plain` has no graph and compares
all points, `graph` has one, `int8` a graph over quantized vectors. Searches and writes are in
milliseconds of processor time of all threads, so they say something on a busy machine too. The
exponent e is fitted by least squares to log cost = e log count + c: 0 does not grow, 1 grows with
the catalogue. `opening` is what the swap to a rebuilt index takes, and no query runs meanwhile.
`--plot` needs matplotlib.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import psutil
from search_modes import Shop, Table, catalogue, shapes
from vectors import BATCH, CLUSTERS, SCHEMA, Array, columns, payload

from backend.vectors import Point
from backend.vectors.edge.build import build
from backend.vectors.edge.folders import FIRST
from backend.vectors.edge.index import EdgeIndex
from backend.vectors.edge.shard import ShardOptions

KINDS = ("plain", "graph", "int8")
COSTS = {
    "search": "ms of CPU",
    "three clauses": "ms of CPU",
    "write": "ms of CPU",
    "fill": "ms of CPU a point",
    "build": "s of CPU",
    "builder": "MiB",
    "memory": "MiB",
    "disk": "MiB",
    "opening": "s of CPU",
}
NEIGHBOURS = 10
PAGE = 1_000
COLUMNS = "columns.npz"
QUERIES = 60

Costs: TypeAlias = dict[str, float]
Rows: TypeAlias = npt.NDArray[np.intp]


def main() -> None:
    options = parse()
    if options.child:
        print(json.dumps(measured(options.child, options.vectors, options.counts[0], options.work)))
        return
    table: dict[tuple[str, int], Costs] = {}
    with ExitStack() as stack:
        temporary = tempfile.TemporaryDirectory(prefix="growth-", dir=options.work)
        folder = options.keep or Path(stack.enter_context(temporary))
        folder.mkdir(exist_ok=True)
        vectors = prepared(options, folder)
        for count in options.counts:
            for kind in options.kinds:
                table[kind, count] = in_child(kind, vectors, count, folder / f"{kind}-{count}")
                print(f"{count:>9,} {kind:<6}", line(table[kind, count]), flush=True)
    exponents = {kind: fitted(table, kind, options.counts) for kind in options.kinds}
    for kind, each in exponents.items():
        print(f"exponents {kind:<6}", line({cost: e for cost, (e, _) in each.items()}))
    for kind, each in exponents.items():
        if "opening" in each:
            exponent, constant = each["opening"]
            count = math.exp((math.log(options.pause) - constant) / exponent)
            print(f"{kind}: a swap takes {options.pause} s of CPU at {count:,.0f} products")
    if options.plot:
        plot(table, options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--catalogue", type=Path, help="a data folder with an embedded catalogue")
    parser.add_argument("--vectors", type=Path, help="a file of vectors (n, dims) instead")
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 40_000, 100_000, 240_000])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--pause", type=float, default=2.5, help="seconds that are too long")
    parser.add_argument("--plot", type=Path, help="draw all costs into this PNG file")
    parser.add_argument("--work", type=Path, help="where the indexes are made")
    parser.add_argument("--keep", type=Path, help="keep vectors, indexes and figures here")
    parser.add_argument("--child", choices=KINDS, help=argparse.SUPPRESS)
    return parser.parse_args()


def line(costs: Costs) -> str:
    return "  ".join(f"{cost} {costs[cost]:.3g}" for cost in COSTS if cost in costs)


# --- vectors --------------------------------------------------------------------------------------


def prepared(options: argparse.Namespace, folder: Path) -> Path:
    """Write the vectors and the columns into a folder, unless they are there; return the file."""
    file = folder / "vectors.npy"
    if file.exists():
        return file
    shop = real(options)
    count, rng = max(options.counts), np.random.default_rng(5)
    vectors, seeds, near = grown(shop.vectors, count)
    table = {"price": rng.uniform(1, 200, count).round(2), "in_stock": rng.random(count) < 0.8}
    if shop.table:
        others = np.where(
            rng.random(count) < 0.5, near[seeds, rng.integers(NEIGHBOURS, size=count)], seeds
        )
        others[: len(shop.vectors)] = seeds[: len(shop.vectors)]
        table |= {field: shop.table[field][seeds] for field in ("article_type", "gender")}
        table |= {field: shop.table[field][others] for field in ("usage", "base_colour", "year")}
    else:
        table = columns(rng.integers(CLUSTERS, size=count))
    np.savez(folder / COLUMNS, **table)
    np.save(file, vectors)
    return file


def real(options: argparse.Namespace) -> Shop:
    """Return the vectors to begin with, of length 1, in random order, and columns if known."""
    if options.vectors:
        vectors = np.load(options.vectors).astype(np.float32)
        shop = Shop(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), {}, SCHEMA)
    else:
        shop = catalogue(options.catalogue)
    order = np.random.default_rng(0).permutation(len(shop.vectors))
    return Shop(
        shop.vectors[order], {name: it[order] for name, it in shop.table.items()}, shop.schema
    )


def grown(real: Array, count: int) -> tuple[Array, Rows, Rows]:
    """Return `count` vectors, first the real ones, the row of each, and the nearest of each row.

    The row is the real vector's that a vector was drawn around.

    The width is the one at which a quarter of the real ones, grown to all of them, has the same
    distances as the real ones have. It is found by halving an interval eight times.
    """
    if count <= len(real):
        return real[:count], np.arange(count), np.arange(count)[:, None].repeat(NEIGHBOURS, axis=1)
    wanted, few = np.median(distances(real)[:, -1]), real[: len(real) // 4]
    near = nearest(few)
    low, high = 0.0, 1.0
    for _ in range(8):
        width = (low + high) / 2
        tried = np.concatenate([few, drawn(few, near, len(real) - len(few), width)[0]])
        low, high = (width, high) if np.median(distances(tried)[:, -1]) < wanted else (low, width)
    print(f"{len(real):,} real vectors of {real.shape[1]} dimensions, width {width:.2f}")
    for name, each in {"all real": real, "a quarter real, the rest drawn": tried}.items():
        found = distances(each)
        for which, place in (("first", 0), ("tenth", -1)):
            low, middle, high = np.quantile(found[:, place], [0.1, 0.5, 0.9])
            print(f"  {name}: {which} neighbour {middle:.3f} ({low:.3f} to {high:.3f}) away")
    near = nearest(real)
    more, seeds = drawn(real, near, count - len(real), width)
    return np.concatenate([real, more]), np.concatenate([np.arange(len(real)), seeds]), near


def drawn(real: Array, near: Rows, count: int, width: float) -> tuple[Array, Rows]:
    """Draw unit vectors around random real ones, along the differences to their neighbours.

    Returns them and the rows that they were drawn around.
    """
    rng = np.random.default_rng(1)
    parts, seeds = [], []
    for start in range(0, count, PAGE):
        rows = rng.integers(len(real), size=min(PAGE, count - start))
        shares = rng.normal(0, width, (len(rows), NEIGHBOURS, 1)).astype(np.float32)
        moved = real[rows] + (shares * (real[near[rows]] - real[rows][:, None])).sum(axis=1)
        parts.append(moved / np.linalg.norm(moved, axis=1, keepdims=True))
        seeds.append(rows)
    return np.concatenate(parts), np.concatenate(seeds)


def nearest(vectors: Array) -> Rows:
    """Return the rows of the ten nearest of each (n, 10), itself left out."""
    found = []
    for start in range(0, len(vectors), PAGE):
        scores = scores_of(np.arange(start, min(start + PAGE, len(vectors))), vectors)
        found.append(np.argpartition(-scores, NEIGHBOURS, axis=1)[:, :NEIGHBOURS].copy())
    return np.concatenate(found)


def distances(vectors: Array) -> Array:
    """Return 1 - cosine of a thousand of them to their ten nearest (1000, 10), nearest first."""
    rows = np.random.default_rng(4).choice(len(vectors), min(PAGE, len(vectors)), replace=False)
    best = np.partition(scores_of(rows, vectors), -NEIGHBOURS, axis=1)[:, -NEIGHBOURS:]
    return np.asarray(1 - np.sort(best, axis=1)[:, ::-1])


def scores_of(rows: Rows, vectors: Array) -> Array:
    """Return the cosines of some rows to all (rows, n), -2 to themselves."""
    scores: Array = vectors[rows] @ vectors.T
    scores[np.arange(len(rows)), rows] = -2
    return scores


# --- one index ------------------------------------------------------------------------------------


def in_child(kind: str, vectors: Path, count: int, folder: Path) -> Costs:
    """Fill and measure an index in processes of their own: one that builds, one that opens it."""
    arguments = [sys.executable, __file__, "--vectors", str(vectors), "--counts", str(count)]
    arguments += ["--child", kind, "--work", str(folder)]
    costs: Costs = {}
    for step in ("filled", "opened"):
        figures = folder.with_name(f"{folder.name}-{step}.json")
        if not figures.exists():
            answer = subprocess.run(arguments, check=True, stdout=subprocess.PIPE).stdout
            figures.write_bytes(answer)
        costs |= json.loads(figures.read_bytes())
    return costs


def measured(kind: str, file: Path, count: int, folder: Path) -> Costs:
    """Fill the index in a folder, or measure searches and writes of one that is there."""
    vectors: Array = np.load(file, mmap_mode="r")[:count]
    table = {name: column[:count] for name, column in np.load(file.with_name(COLUMNS)).items()}
    if not folder.exists():
        folder.mkdir()
        return filled(kind, vectors, table, folder)
    return opened(vectors, table, folder)


def filled(
    kind: str,
    vectors: Array,
    table: Table,
    folder: Path,
) -> Costs:
    size = vectors.shape[1]
    if kind == "plain":
        index = EdgeIndex(folder, size=size, schema=SCHEMA)

        def fill() -> None:
            for page in pages(vectors, table):
                index.upsert(page)

        took = cpu(fill)
        index.flush()
        index.close()
        return {"fill": 1000 * took / len(vectors), "disk": size_of(folder)}
    options = ShardOptions(quantization="int8" if kind == "int8" else None)
    took = cpu(
        lambda: build(
            folder / FIRST,
            pages(vectors, table),
            size=size,
            schema=SCHEMA,
            options=options,
            threads=1,
        )
    )
    return {"build": took, "builder": peak_memory(), "disk": size_of(folder)}


def opened(vectors: Array, table: Table, folder: Path) -> Costs:
    queries = np.array(vectors[np.random.default_rng(3).choice(len(vectors), QUERIES)])
    where = shapes(table)["three clauses"]
    before = psutil.Process().memory_info().rss
    index = EdgeIndex(folder, size=vectors.shape[1], schema=SCHEMA)
    opening = cpu(index.ping)

    def search(query: Array) -> None:
        index.nearest(query, limit=10, payloads=False)

    def search_filtered(query: Array) -> None:
        index.nearest(query, limit=10, where=where, payloads=False)

    def write(query: Array) -> None:
        index.upsert([Point(id=0, vector=query, payload=payload(table, 0), claim=next(claims))])

    claims = iter(range(2, 2 + 2 * QUERIES))
    calls: dict[str, Callable[[Array], None]] = {
        "search": search,
        "three clauses": search_filtered,
        "write": write,
    }
    costs = {name: median_cpu(call, queries) for name, call in calls.items()}
    memory = (psutil.Process().memory_info().rss - before) / 2**20
    index.close()
    return {**costs, "memory": memory, "opening": opening}


def pages(vectors: Array, table: Table) -> Iterator[list[Point]]:
    for start in range(0, len(vectors), BATCH):
        yield [
            Point(id=row, vector=np.array(vectors[row]), payload=payload(table, row), claim=1)
            for row in range(start, min(start + BATCH, len(vectors)))
        ]


def median_cpu(call: Callable[[Array], None], queries: Array) -> float:
    """Return the median processor time of a call in milliseconds, after each was made once."""
    for query in queries:
        call(query)
    return 1000 * statistics.median(cpu(partial(call, query)) for query in queries)


def cpu(call: Callable[[], object]) -> float:
    """Return the seconds of processor time that all threads of this process took."""
    began = time.process_time()
    call()
    return time.process_time() - began


def peak_memory() -> float:
    """Return the most MiB that this process had in memory; `ru_maxrss` counts its parent, too."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def size_of(folder: Path) -> float:
    """Return the MiB that the files of a folder take on the disk, holes left out."""
    files = (file.stat() for file in folder.rglob("*") if file.is_file())
    return sum(512 * each.st_blocks for each in files) / 2**20


# --- the result -----------------------------------------------------------------------------------


def fitted(
    table: dict[tuple[str, int], Costs], kind: str, counts: Sequence[int]
) -> dict[str, tuple[float, float]]:
    """Return {cost: (exponent, constant)} of the lines through the logarithms."""
    found = {}
    for cost in COSTS:
        values = [table[kind, count].get(cost, 0.0) for count in counts]
        if len(counts) > 1 and min(values) > 0:
            exponent, constant = np.polyfit(np.log(counts), np.log(values), 1)
            found[cost] = (float(exponent), float(constant))
    return found


def plot(table: dict[tuple[str, int], Costs], options: argparse.Namespace) -> None:
    """Draw each cost over the count, both axes logarithmic."""
    pyplot = import_module("matplotlib.pyplot")
    figure, axes = pyplot.subplots(3, 3, figsize=(12, 9), layout="constrained")
    for axis, (cost, unit) in zip(axes.flat, COSTS.items(), strict=True):
        for kind in options.kinds:
            values = [table[kind, count].get(cost) for count in options.counts]
            if all(values):
                colour = f"C{KINDS.index(kind)}"
                axis.loglog(options.counts, values, colour, marker="o", label=kind)
        axis.set_title(f"{cost} ({unit})")
        axis.grid(visible=True, which="both", alpha=0.3)
        axis.legend()
    figure.supxlabel("points")
    figure.savefig(options.plot, dpi=80)


if __name__ == "__main__":
    main()
