"""Files in FashionMNIST's format, of any few images."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np

from backend.catalogue.sources.fashion_mnist import CLASSES


def idx(array: np.ndarray) -> bytes:
    """Return an array of bytes as an IDX file."""
    magic = 0x0800 | array.ndim
    return struct.pack(f">{1 + array.ndim}I", magic, *array.shape) + array.tobytes()


def images_of(labels: np.ndarray) -> np.ndarray:
    """Draw one 28 by 28 image a label: each class has a bar at its own height, and some noise."""
    dice = np.random.default_rng(len(labels))
    drawn = dice.integers(0, 40, (len(labels), 28, 28), np.uint8)
    for image, label in zip(drawn, labels, strict=True):
        image[2 * label + 2 : 2 * label + 6, 4:24] = 200 + label
    return drawn


def write_fashion_mnist(
    folder: Path, *, train: int = 40, test: int = 20, gzipped: bool = True
) -> Path:
    """Write the four files into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, count in (("train", train), ("t10k", test)):
        labels = (np.arange(count) % len(CLASSES)).astype(np.uint8)
        for what, array in (("images-idx3", images_of(labels)), ("labels-idx1", labels)):
            data = gzip.compress(idx(array)) if gzipped else idx(array)
            (folder / f"{name}-{what}-ubyte{'.gz' if gzipped else ''}").write_bytes(data)
    return folder
