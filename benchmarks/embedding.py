"""How fast does `efficientnet-lite0` embed image files, and which step takes the time?

    python benchmarks/embedding.py FOLDER [--count 256] [--rounds 3]

All variants run in turns, on one torch thread, and the best round of each counts. Compare ratios:
milliseconds depend on the machine. The CPU time of the decoder process is not counted.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from backend import images
from backend.embedders import Compute, Embedder, load
from backend.embedders.efficientnet_lite import PREPROCESSING
from backend.embedders.efficientnet_lite_model import load_model
from backend.images.decoder_pool import Decoded, DecoderPool

LIMITS = images.ImageLimits()
BATCH = 64


def naive(paths: list[Path]) -> Callable[[], None]:
    """One image at a time: open, resize, forward."""
    model = load_model().eval()
    height, width = PREPROCESSING.input_size

    def run() -> None:
        for path in paths:
            with Image.open(path) as image:
                pixels = np.array(image.convert("RGB").resize((width, height), Image.BICUBIC))
            x = (torch.from_numpy(pixels).permute(2, 0, 1)[None].float() - 127) / 128
            with torch.inference_mode():
                model.forward_head(model.forward_features(x), pre_logits=True)

    return run


def forward(embedder: Embedder, decoded: list[Image.Image]) -> Callable[[], None]:
    """Embed images that are decoded already."""
    return lambda: [embedder.embed(decoded[i : i + BATCH]) for i in range(0, len(decoded), BATCH)]


def in_process(paths: list[Path], embedder: Embedder) -> Callable[[], None]:
    """Decode a batch, embed a batch, in turns."""

    def run() -> None:
        for start in range(0, len(paths), BATCH):
            data = (images.read_file(path, limits=LIMITS) for path in paths[start : start + BATCH])
            target = embedder.input_size
            embedder.embed([images.decode(one, limits=LIMITS, target=target) for one in data])

    return run


def pooled(paths: list[Path], embedder: Embedder, decoders: DecoderPool) -> Callable[[], None]:
    """Decode in the pool while the last batch is embedded, as Lookalike does."""

    def run() -> None:
        found = decoders.decode_all(paths, target=embedder.input_size, window=2 * BATCH)
        decoded = (one.image for one in found if isinstance(one, Decoded))
        while batch := list(islice(decoded, BATCH)):
            embedder.embed(batch)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where image files lie")
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    paths = sorted(path for path in options.folder.iterdir() if path.is_file())
    paths = [paths[n % len(paths)] for n in range(options.count)]
    fp32 = load("efficientnet-lite0", compute=Compute(device="cpu", precision="fp32"))
    bf16 = load("efficientnet-lite0", compute=Compute(device="cpu", precision="bf16"))
    with DecoderPool(1, limits=LIMITS) as decoders:
        results = decoders.decode_all(paths, target=bf16.input_size)
        decoded = [one.image for one in results if isinstance(one, Decoded)]
        variants = {
            "naive loop, fp32": naive(paths),
            "forward only, fp32": forward(fp32, decoded),
            "forward only, bf16": forward(bf16, decoded),
            "decode, then embed, bf16": in_process(paths, bf16),
            "decoder process beside, bf16": pooled(paths, bf16, decoders),
        }
        best = measure(variants, rounds=options.rounds, count=options.count)
    base = best["naive loop, fp32"]
    print(f"{'ms an image':32}{'wall':>8}{'own CPU':>9}{'speed-up':>9}")
    for name, (wall, cpu) in best.items():
        print(f"{name:32}{wall:8.2f}{cpu:9.2f}{base[0] / wall:9.2f}")


def measure(
    variants: dict[str, Callable[[], None]], *, rounds: int, count: int
) -> dict[str, tuple[float, float]]:
    """Run all variants in turns; return the best wall and CPU time of each, in ms an image."""
    best: dict[str, tuple[float, float]] = {}
    for _ in range(rounds):
        for name, run in variants.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            found = (time.perf_counter() - wall, time.process_time() - cpu)
            last = best.get(name, (1e9, 1e9))
            best[name] = (
                min(last[0], 1000 * found[0] / count),
                min(last[1], 1000 * found[1] / count),
            )
    return best


if __name__ == "__main__":
    main()
