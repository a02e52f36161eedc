"""What colour management gives and costs: cosines to the plain sRGB image, and time an image.

    PYTHONPATH=tests:examples python benchmarks/colour_management.py [--count 24] [--embedder NAME]

Drawn products are written in each space and format, with the space's profile. Each is decoded with
the profile, and again from a file without it, as if it had been ignored. The time is that of
decoding a photograph of 1,200 x 1,600 pixels to the embedder's size: CPU time, as a ratio of a file
with the profile to the same file without. Profiles are built by the tests; none is copied.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table
from support.colour_profiles import FORMATS, GRID, SPACES, photographs, plain, written_in

from backend import embedders
from backend.images import ImageLimits, decode
from backend.settings import Settings

LIMITS = ImageLimits()
REPEATS = 5


def embed_files(embedder: embedders.Embedder, files: list[bytes]) -> np.ndarray:
    size = embedder.input_size
    return embedder.embed([decode(data, limits=LIMITS, target=size) for data in files])


def compare(embedder: embedders.Embedder, images: list[Image.Image]) -> list[float]:
    """Print one row for each cell of the grid; return all cosines with profiles honoured."""
    table = Table("space", "format", "least", "mean", "wrong first", "ignored", "wrong first")
    found: list[float] = []
    for space, kind in GRID:
        honoured = [written_in(image, space, kind) for image in images]
        if None in honoured:
            continue
        ignored = [written_in(image, space, kind, profile=False) for image in images]
        truth = embed_files(embedder, [plain(image, space, kind) for image in images])
        row = [space, kind]
        for files in (honoured, ignored):
            scores = embed_files(embedder, [data for data in files if data]) @ truth.T
            own = scores.diagonal()
            wrong = int((scores.argmax(axis=1) != np.arange(len(own))).sum())
            means = [f"{own.mean():.4f}"] if files is honoured else []
            row += [f"{own.min():.4f}", *means, str(wrong)]
            found += list(own) if files is honoured else []
        table.add_row(*row)
    Console().print(table)
    return found


def cost(size: tuple[int, int]) -> None:
    """Print the time an image with a profile, as a ratio to the same without."""
    photo = photographs(1, size=(1200, 1600))[0]
    table = Table("space", *FORMATS, title="time with the profile : without")
    for space in (*SPACES, "grey", "CMYK"):
        row = [space]
        for kind in FORMATS:
            files = [written_in(photo, space, kind, profile=profile) for profile in (True, False)]
            times = [least_time(data, size) for data in files if data]
            row.append(f"{times[0] / times[1]:.2f}" if times else "")
        table.add_row(*row)
    Console().print(table)


def least_time(data: bytes, size: tuple[int, int]) -> float:
    found = []
    for _ in range(REPEATS):
        began = time.process_time()
        decode(data, limits=LIMITS, target=size)
        found.append(time.process_time() - began)
    return min(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--embedder", default=Settings.model_fields["embedder"].default)
    options = parser.parse_args()
    embedder = embedders.load(options.embedder)
    found = compare(embedder, photographs(options.count))
    print(f"{len(found)} images: least {min(found):.4f}, mean {np.mean(found):.4f}")
    cost(embedder.input_size)


if __name__ == "__main__":
    main()
