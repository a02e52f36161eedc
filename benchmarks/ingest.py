"""From image files to searchable products, as a share of the pure forward pass.

    python benchmarks/ingest.py --catalogue fashion-products-small.zip [--count 2000] [--repeats 3]
    python benchmarks/ingest.py --catalogue fashion-products-fullres.zip --count 300
    python benchmarks/ingest.py --catalogue … --side 224

It runs what `lookalike index` runs in one process: SQLite, the embedded index, decoders and the
worker's rounds. *Pure* is the same network on ready arrays, with the same threads, measured in turn
with it. `allowed` adds up pure pass and decoding: what the cores allow if nothing else cost time.
On a busy machine compare CPU times: those of the process and of its decoders are counted apart.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from throughput import write_catalogue

from backend.bootstrap import Services, build
from backend.catalogue.import_run import import_catalogue
from backend.embedders import Embedder
from backend.embedders.processors import usable_processors
from backend.images.decoder_pool import Decoded
from backend.settings import Settings, read_settings
from backend.worker.loop import Worker

DEFAULT_EMBEDDER = Settings.model_fields["embedder"].default


@dataclass(frozen=True)
class Cost:
    """Milliseconds of one image: on the clock, in this process, and in its decoders."""

    wall: float
    own: float
    decoders: float = 0

    @property
    def rate(self) -> float:
        """Images a second."""
        return 1000 / self.wall

    def __str__(self) -> str:
        return (
            f"{self.rate:7.1f} images/s, {self.own:6.2f} ms of CPU"
            f" and {self.decoders:5.2f} ms in decoders an image"
        )


def main() -> None:
    options = parse()
    runs: list[tuple[Cost, Cost, Cost]] = []
    with tempfile.TemporaryDirectory(prefix="ingest-") as name:
        catalogue = write_catalogue(options, Path(name) / "shop")
        for repeat in range(options.repeats):
            settings = read_settings(
                data_dir=Path(name) / f"data-{repeat}",
                embedder=options.embedder,
                decoders=options.decoders,
                engine=options.engine,
                precision=options.precision,
            )
            services = build(settings)
            try:
                runs.append(run(services, catalogue, options))
            finally:
                services.close()
            report(*runs[-1])
    if len(runs) > 1:
        print("medians:")
        report(*(median([one[part] for one in runs]) for part in range(3)))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--catalogue", type=Path, required=True, help="a zip with images/")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--side", type=int, help="rescale the images to this many pixels square")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--embedder", default=DEFAULT_EMBEDDER)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--decoders", type=int, default=1)
    parser.add_argument("--profile", action="store_true", help="print the worker's functions")
    return parser.parse_args()


def run(
    services: Services, catalogue: Path, options: argparse.Namespace
) -> tuple[Cost, Cost, Cost]:
    """Measure the pure pass, decoding alone, and everything until the last is searchable."""
    paths = sorted((catalogue / "images").iterdir())
    worker = Worker(services)
    services.owner.acquire()
    worker.recover()
    embedder = services.embedders.named(options.embedder)
    pure = pure_cost(embedder)
    decoding = measured(lambda: decode(services, embedder, paths[:500]), min(500, len(paths)))
    import_catalogue(services.db, services.image_store, catalogue)
    profile = cProfile.Profile() if options.profile else None
    if profile:
        profile.enable()
    whole = measured(lambda: index(worker), len(paths))
    if profile:
        profile.disable()
        pstats.Stats(profile).sort_stats("tottime").print_stats(45)
    after = pure_cost(embedder)
    progress = worker.progress()
    assert progress.indexed == len(paths), progress
    return median([pure, after]), decoding, whole


def index(worker: Worker) -> None:
    while worker.rounds.run_one():
        pass


def decode(services: Services, embedder: Embedder, paths: list[Path]) -> None:
    found = services.decoders.decode_all(paths, target=embedder.input_size)
    assert all(isinstance(one, Decoded) for one in found)


def pure_cost(embedder: Embedder) -> Cost:
    height, width = embedder.input_size
    noise = np.random.default_rng(0).integers(0, 256, (8, height, width, 3), dtype=np.uint8)
    batch = [Image.fromarray(one) for one in noise] * (embedder.batch_size // 8)
    embedder.embed(batch)
    rounds = 5
    return measured(lambda: [embedder.embed(batch) for _ in range(rounds)], rounds * len(batch))


def measured(work: Callable[[], object], count: int) -> Cost:
    began, used, below = time.perf_counter(), time.process_time(), decoders_used()
    work()
    return Cost(
        wall=1000 * (time.perf_counter() - began) / count,
        own=1000 * (time.process_time() - used) / count,
        decoders=1000 * (decoders_used() - below) / count,
    )


def decoders_used() -> float:
    children = psutil.Process(os.getpid()).children()
    return sum(sum(each.cpu_times()[:2]) for each in children)


def median(costs: list[Cost]) -> Cost:
    return Cost(
        *(
            statistics.median(values)
            for values in zip(*((c.wall, c.own, c.decoders) for c in costs), strict=True)
        )
    )


def report(pure: Cost, decoding: Cost, whole: Cost) -> None:
    allowed = (pure.own + decoding.own + decoding.decoders) / usable_processors()
    print(f"pure      {pure}")
    print(f"decoding  {decoding}")
    print(f"whole     {whole}")
    print(
        f"  whole / pure: {pure.wall / whole.wall:.2f} by the clock,"
        f" {pure.own / (whole.own + whole.decoders):.2f} by CPU time;"
        f" of what the cores allow: {allowed / whole.wall:.2f} by the clock,"
        f" {allowed * usable_processors() / (whole.own + whole.decoders):.2f} by CPU time",
        flush=True,
    )


if __name__ == "__main__":
    main()
