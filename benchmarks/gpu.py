"""Does an NVIDIA GPU make the CPU's vectors, and how fast? `make prove-gpu`, at most eight minutes.

    python benchmarks/gpu.py [--images 6000] [--rehearse]

Checks, for the default embedder and ResNet-50: the fingerprint and the cosine (at least 0.999) of
CUDA against the CPU in fp32; that a batch that does not fit is halved, with the same vectors; that
batches are copied from pinned memory, on a stream of their own. Then it measures images a second:
the pure pass on arrays that lie on the GPU, the embedder on ready images, and everything from files
of 224 x 224 to searchable products, with decoders for the cores. Exit status: 0, 1 for a check that
failed, 3 for a host without an NVIDIA GPU. `--rehearse` takes a CPU and few images instead, to try
the script itself; what only a GPU can do is left out.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import ingest
from support.catalogue import COLUMNS

from backend.bootstrap import build
from backend.embedders import Compute, Embedder, load
from backend.embedders.network import Network
from backend.settings import read_settings

SPECS = ("lookalike-fashion", "torchvision/resnet50?weights=random")
NO_GPU, FAILED = 3, 1
NEAR = 0.999
SECONDS = 480
SIDE = 224


class Proof:
    """What was checked so far, and the time that is left."""

    def __init__(self) -> None:
        self.failed = 0
        self._until = time.monotonic() + SECONDS

    def check(self, what: str, holds: bool) -> None:
        """Print and count whether a statement holds."""
        print(f"  {'ok    ' if holds else 'FAILED'} {what}", flush=True)
        self.failed += not holds

    @property
    def is_late(self) -> bool:
        """Whether no further measurement should begin."""
        return time.monotonic() > self._until - 60


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=6000)
    parser.add_argument("--rehearse", action="store_true")
    options = parser.parse_args()
    if not torch.cuda.is_available() and not options.rehearse:
        print("there is no NVIDIA GPU here that torch can use: nothing was checked")
        return NO_GPU
    device = "cpu" if options.rehearse else "cuda"
    count = 64 if options.rehearse else options.images
    print(torch.cuda.get_device_name() if device == "cuda" else "a rehearsal on a CPU")
    proof = Proof()
    with tempfile.TemporaryDirectory(prefix="prove-gpu-") as name:
        catalogue = draw_catalogue(Path(name) / "shop", count)
        for number, spec in enumerate(SPECS):
            print(spec, flush=True)
            check_vectors(proof, spec, device)
            if device == "cuda":
                check_halving(proof, spec)
                check_copies(proof, spec)
            if proof.is_late:
                print("  no time is left to measure")
                continue
            measure(spec, device, catalogue, Path(name) / f"data-{number}", options)
    return FAILED if proof.failed else 0


def check_vectors(proof: Proof, spec: str, device: str, *, count: int = 40) -> None:
    images = drawn(count)
    exact = load(spec, compute=Compute(device="cpu", precision="fp32", threads=0))
    tried = load(spec, compute=Compute(device=device, engine="torch"))
    cosines = (exact.embed(images) * tried.embed(images)).sum(axis=1)
    proof.check("the fingerprint is the same", exact.fingerprint == tried.fingerprint)
    proof.check(f"least cosine to the CPU {cosines.min():.5f}", bool(cosines.min() >= NEAR))


def check_halving(proof: Proof, spec: str) -> None:
    """Bound the memory of this process so that a large batch does not fit."""
    images = drawn(16) * 64
    plain = load(spec, compute=Compute(device="cuda")).embed(images[:16])
    torch.cuda.empty_cache()
    embedder = load(spec, compute=Compute(device="cuda", batch_size=1024))
    room = torch.cuda.memory_allocated() + 1_500_000_000
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, room / total))
    try:
        vectors = embedder.embed(images)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    batch = network_of(embedder).batch_size
    proof.check(f"a batch of 1024 was halved to {batch}", batch < 1024)
    cosines = (vectors.reshape(64, 16, -1) * plain).sum(axis=2)
    proof.check(f"with the same vectors ({cosines.min():.5f})", bool(cosines.min() >= NEAR))


def check_copies(proof: Proof, spec: str) -> None:
    embedder = load(spec, compute=Compute(device="cuda", batch_size=32))
    images = drawn(96)
    embedder.embed(images)
    activities = [torch.profiler.ProfilerActivity.CUDA, torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities) as profile:
        embedder.embed(images)
    events = [one for one in profile.events() if one.device_type == torch.profiler.DeviceType.CUDA]
    copies = [one for one in events if "HtoD" in one.name]
    pinned = [one for one in copies if "Pinned" in one.name]
    proof.check(f"{len(pinned)} of {len(copies)} copies are from pinned memory", bool(pinned))
    copied = {one.device_resource_id for one in pinned}
    computed = {one.device_resource_id for one in events if "Mem" not in one.name}
    proof.check("they have a stream of their own", not copied & computed)


def measure(
    spec: str, device: str, catalogue: Path, data: Path, options: argparse.Namespace
) -> None:
    cores = os.cpu_count() or 1
    settings = read_settings(
        data_dir=data, embedder=spec, device=device, engine="torch", decoders=max(1, cores - 2)
    )
    options.embedder, options.profile = spec, False
    services = build(settings)
    try:
        embedder = services.embedders.named(spec)
        pure = pure_rate(network_of(embedder), crop_of(embedder), options)
        ready, decoding, whole = ingest.run(services, catalogue, options)
    finally:
        services.close()
    print(f"  pure pass on the device {pure:8.1f} images/s")
    print(f"  embedder, ready images  {ready}, {ready.rate / pure:.2f} of pure")
    print(f"  {settings.decoders} decoders alone        {decoding}")
    print(f"  files to searchable     {whole}, {whole.rate / pure:.2f} of pure", flush=True)


def pure_rate(network: Network, size: tuple[int, int], options: argparse.Namespace) -> float:
    """Measure the pass alone, on a batch that lies on the device already."""
    noise = np.random.default_rng(0).integers(0, 256, (network.batch_size, *size, 3), np.uint8)
    batch = torch.from_numpy(noise)
    if torch.cuda.is_available():
        batch = batch.cuda()
    rounds = 2 if options.rehearse else 50
    for _ in range(2):
        network._forward(batch)
    began = time.perf_counter()
    for _ in range(rounds):
        network._forward(batch)  # copies the features back, and so waits for the device
    return rounds * len(batch) / (time.perf_counter() - began)


def network_of(embedder: Embedder) -> Network:
    network = embedder._network  # type: ignore[attr-defined]
    assert isinstance(network, Network)
    return network


def crop_of(embedder: Embedder) -> tuple[int, int]:
    """Return the size that the network sees."""
    return getattr(embedder, "_crop", embedder.input_size)


def drawn(count: int) -> list[Image.Image]:
    """Return smooth images, each unlike the others."""
    return [
        Image.fromarray(one).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        for one in np.random.default_rng(1).integers(0, 256, (count, 8, 8, 3), np.uint8)
    ]


def draw_catalogue(folder: Path, count: int) -> Path:
    (folder / "images").mkdir(parents=True)
    rows = [COLUMNS]
    few = drawn(min(count, 200))
    for number in range(count):
        path = folder / "images" / f"{number}.jpg"
        few[number % len(few)].save(path, "JPEG", quality=90)
        with path.open("ab") as file:  # another digest; what follows the end is not read
            file.write(str(number).encode())
        rows.append(f"{number},Women,Apparel,Topwear,Tops,Red,Fall,2012,Casual")
    (folder / "styles.csv").write_text("\n".join(rows) + "\n")
    return folder


if __name__ == "__main__":
    sys.exit(main())
