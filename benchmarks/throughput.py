"""The speed of 1 and 2 Celery workers, as a share of the network's own speed.

    python benchmarks/throughput.py --catalogue fashion-products-small.zip [--count 2000]
    python benchmarks/throughput.py --catalogue fashion-products-fullres.zip --count 600
    python benchmarks/throughput.py --catalogue … --side 224
    python benchmarks/throughput.py --catalogue … --count 20000 --workers 1 --memory

It runs PostgreSQL, Redis, `lookalike worker` and its decoders. *Pure* is the forward pass alone, on
batches that are in memory already, in its own process with one thread. It is measured before,
between and after the workers, so that other work on the machine changes the ratio little. The naive
loop opens, resizes and embeds one image at a time, in fp32, and writes nothing. On a busy machine,
look at the CPU time of an image: decoding overlaps with the forward pass, so a worker with its own
core is as fast as the greater of its two figures allows. A catalogue with fewer images than
`--count` is used several times, with different files each time.
"""

from __future__ import annotations

import argparse
import io
import itertools
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from sqlalchemy import func, select
from support.catalogue import COLUMNS
from support.installation import Installation, distributed
from support.servers import postgres_server

from backend.catalogue.import_run import import_catalogue
from backend.database.models import IndexEntry
from backend.queue import Stage, waits_for

PURE = """
import time
import numpy as np
from PIL import Image
from backend import embedders
from backend.embedders import Compute
embedder = embedders.load({spec!r}, compute=Compute(threads=1))
height, width = embedder.input_size
noise = np.random.default_rng(0).integers(0, 256, (32, height, width, 3), dtype=np.uint8)
batch = [Image.fromarray(one) for one in noise]
for _ in range(3):
    embedder.embed(batch)
began, used, done = time.perf_counter(), time.process_time(), 0
while time.perf_counter() < began + {seconds}:
    embedder.embed(batch)
    done += len(batch)
print(done / (time.perf_counter() - began), (time.process_time() - used) / done)
"""

NAIVE = """
import sys
import time
from pathlib import Path
sys.path.insert(0, {benchmarks!r})
from embedding import naive
paths = sorted(Path({images!r}).iterdir())[:{count}]
naive(paths[:8])()
run = naive(paths)
began, used = time.perf_counter(), time.process_time()
run()
print(len(paths) / (time.perf_counter() - began), (time.process_time() - used) / len(paths))
"""
NAIVE_COUNT = 128


@dataclass(frozen=True)
class Speed:
    """Images a second, and the CPU seconds of one image in the worker and in its decoder."""

    rate: float
    worker: float
    decoder: float = 0

    def __str__(self) -> str:
        parts = f"{1000 * self.worker:.2f} ms CPU"
        if self.decoder:
            parts += f" and {1000 * self.decoder:.2f} ms in the decoder"
        return f"{self.rate:.1f} images/s, {parts} an image"


def main() -> None:
    options = parse()
    with tempfile.TemporaryDirectory(prefix="throughput-") as name:
        folder = Path(name)
        catalogue = write_catalogue(options, folder / "shop")
        with postgres_server() as url:
            before = pure_speed(options)
            print(f"pure: {before}", flush=True)
            naive = naive_speed(catalogue)
            print(f"naive loop: {naive}, {naive.rate / before.rate:.2f} of pure", flush=True)
            for workers in options.workers:
                with distributed(folder / f"with-{workers}", url, **knobs(options)) as shop:
                    shop.prints_logs = False
                    speed = throughput(shop, catalogue, options, workers)
                after = pure_speed(options)
                tell(workers, speed, before, after)
                before = after


def tell(workers: int, speed: Speed, before: Speed, after: Speed) -> None:
    rate = (before.rate + after.rate) / 2
    cpu = (before.worker + after.worker) / 2 / speed.worker
    print(f"{workers} worker(s): {speed}")
    print(f"  {speed.rate / rate:.2f} of pure beside it ({rate:.1f}); by CPU time {cpu:.2f} each")
    sys.stdout.flush()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--catalogue", type=Path, required=True, help="a zip with images/")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--side", type=int, help="rescale the images to this many pixels square")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--embedder", default="efficientnet-lite0")
    parser.add_argument("--seconds", type=float, default=8, help="of each pure measurement")
    parser.add_argument(
        "--memory", action="store_true", help="print the worker's memory on the way"
    )
    return parser.parse_args()


def knobs(options: argparse.Namespace) -> dict[str, object]:
    return {"embedder": options.embedder, "lease_seconds": 120, "hang_seconds": 120}


def write_catalogue(options: argparse.Namespace, folder: Path) -> Path:
    """Write a catalogue of `count` different images."""
    (folder / "images").mkdir(parents=True)
    rows = [COLUMNS]
    for number, data in zip(range(options.count), image_files(options), strict=False):
        # Bytes behind the end of a JPEG change its digest, not its image.
        (folder / "images" / f"{number}.jpg").write_bytes(data + f"{number}".encode())
        rows.append(f"{number},Women,Apparel,Topwear,Tops,Red,Fall,2012,Casual")
    (folder / "styles.csv").write_text("\n".join(rows) + "\n")
    return folder


def image_files(options: argparse.Namespace) -> Iterator[bytes]:
    with zipfile.ZipFile(options.catalogue) as archive:
        names = [name for name in archive.namelist() if name.endswith(".jpg")]
        for name in itertools.cycle(names):
            yield rescaled(archive.read(name), options.side) if options.side else archive.read(name)


def rescaled(data: bytes, side: int) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(data)).convert("RGB").resize((side, side)).save(out, "JPEG", quality=90)
    return out.getvalue()


def pure_speed(options: argparse.Namespace) -> Speed:
    """Measure the forward pass alone."""
    return in_a_process(PURE.format(spec=options.embedder, seconds=options.seconds))


def naive_speed(catalogue: Path) -> Speed:
    """Measure EfficientNet-Lite0 in a simple loop: one image at a time."""
    here = str(Path(__file__).parent)
    images = str(catalogue / "images")
    return in_a_process(NAIVE.format(benchmarks=here, images=images, count=NAIVE_COUNT))


def in_a_process(code: str) -> Speed:
    """Run code that prints a rate and the CPU time of one image, on one thread."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    return Speed(*map(float, ran.stdout.split()))


def throughput(
    shop: Installation, catalogue: Path, options: argparse.Namespace, workers: int
) -> Speed:
    """Measure between the first tenth of the catalogue and the last."""
    names = [f"w{number}" for number in range(workers)]
    for name in names:
        shop.worker(name)
    shop.start("beat")
    shop.wait_until_ready(*names, seconds=120)
    import_catalogue(shop.db, shop.services.image_store, catalogue)
    shop.services.notify()
    reach(shop, options.count // 10, options)
    start, began, used = embedded(shop), time.perf_counter(), cpu_seconds(shop, names)
    done = reach(shop, options.count * 9 // 10, options) - start
    spent = [after - before for after, before in zip(cpu_seconds(shop, names), used, strict=True)]
    return Speed(done / (time.perf_counter() - began), spent[0] / done, spent[1] / done)


def cpu_seconds(shop: Installation, names: Sequence[str]) -> list[float]:
    """Return the CPU time that workers and their decoders have used so far."""
    workers = [psutil.Process(shop.pid_of_worker(name)) for name in names]
    decoders = [decoder for worker in workers for decoder in worker.children()]
    return [sum(sum(one.cpu_times()[:2]) for one in group) for group in (workers, decoders)]


def reach(shop: Installation, count: int, options: argparse.Namespace) -> int:
    """Wait until so many are embedded; return their number."""
    printed = 0
    while (now := embedded(shop)) < count:
        if options.memory and now >= printed + 1000:
            printed = now
            print(f"  {now:6d} images: {memory(shop)}", flush=True)
        time.sleep(0.05)
    return now


def embedded(shop: Installation) -> int:
    with shop.db.read() as session:
        return (
            session.scalar(
                select(func.count()).select_from(IndexEntry).where(waits_for(Stage.APPLY))
            )
            or 0
        )


def memory(shop: Installation) -> str:
    """Return the resident memory of the first worker and of its decoder, in megabytes."""
    worker = psutil.Process(shop.pid_of_worker("w0"))
    parts = {"worker": worker, "decoder": worker.children()[0]}
    sizes = {name: part.memory_info().rss / 1e6 for name, part in parts.items()}
    return ", ".join(f"{name} {size:.0f} MB" for name, size in sizes.items())


if __name__ == "__main__":
    main()
