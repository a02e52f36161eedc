"""FashionMNIST: 70,000 images of 28 by 28 grey pixels in ten classes, as Zalando published them.

The four files, gzipped or not, lie in one folder: torchvision's download, Debian's package
`dataset-fashion-mnist`, or the originals. Their format (IDX) is that of MNIST: a magic number, the
sizes as big-endian 32-bit numbers, then bytes. See https://github.com/zalandoresearch/fashion-mnist
"""

from __future__ import annotations

import gzip
import io
import math
import struct
import zlib
from collections.abc import Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from backend.catalogue.sources.feed import CutOff, Description, FeedRow, ImageFile, Reject
from backend.errors import ImageTooLarge, UnreadableCatalogue

Bytes = npt.NDArray[np.uint8]

CLASSES: Final = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
SPLITS: Final = {"train": "train", "test": "t10k"}  # our word -> the word in the file names
FOLDERS: Final = ("", "FashionMNIST/raw", "raw")  # the last two are torchvision's
UNSIGNED_BYTES: Final = 0x08  # the magic number is this and the number of dimensions


def find_folder(path: Path) -> Path | None:
    """Return the folder, `path` or below, that holds the training images; None if there is none."""
    places = (path / folder for folder in FOLDERS)
    return next((place for place in places if _file(place, "train", "images", 3)), None)


class FashionMnist:
    """The images of one folder, training before test; skus are train-00000 to test-09999.

    The class is the `article_type`, the split an attribute. Images are white on black, as
    published, and are copied out as PNG. A split whose files are missing is left out.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def skus(self) -> Iterator[tuple[int, str]]:
        """Yield line and sku of every image, in order."""
        line = 0
        for split, (_, labels) in self._splits.items():
            for number in range(len(labels)):
                line += 1
                yield line, _sku(split, number)

    def read(self) -> Iterator[FeedRow | Reject]:
        """Yield every image, in order."""
        line = 0
        for split, (images, labels) in self._splits.items():
            for number, (pixels, label) in enumerate(zip(images, labels.tolist(), strict=True)):
                line += 1
                sku = _sku(split, number)
                if label < len(CLASSES):
                    yield _row(line, sku, split, CLASSES[label], pixels)
                else:
                    yield Reject(line, sku, f"there is no class {label}; the last is 9")

    def cut_off(self) -> CutOff | None:
        """Return None: a file that is shorter than its header says was refused when it was read."""
        return None

    def describe(self) -> Description:
        """Return its name."""
        return Description("FashionMNIST")

    def close(self) -> None:
        """Free the images."""
        self.__dict__.pop("_splits", None)

    @cached_property
    def _splits(self) -> dict[str, tuple[Bytes, Bytes]]:
        found = {split: self._read_split(name) for split, name in SPLITS.items()}
        return {split: arrays for split, arrays in found.items() if arrays}

    def _read_split(self, name: str) -> tuple[Bytes, Bytes] | None:
        images = _file(self._folder, name, "images", 3)
        if images is None:
            return None
        labels = _file(self._folder, name, "labels", 1)
        if labels is None:
            raise UnreadableCatalogue(f"{images.name} has no file of labels beside it")
        arrays = read_idx(images, dimensions=3), read_idx(labels, dimensions=1)
        counts = [len(array) for array in arrays]
        if counts[0] != counts[1]:
            raise UnreadableCatalogue(
                f"{images.name} has {counts[0]:,} images, its labels are {counts[1]:,}"
            )
        return arrays


def read_idx(path: Path, *, dimensions: int) -> Bytes:
    """Read a file of bytes in IDX format, gzipped or not. Raises UnreadableCatalogue."""
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if path.suffix == ".gz" else data
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableCatalogue(f"{path.name}: {error}") from None
    header = 4 * (1 + dimensions)
    magic, *shape = struct.unpack(f">{1 + dimensions}I", data[:header].ljust(header, b"\0"))
    if magic != UNSIGNED_BYTES << 8 | dimensions:
        raise UnreadableCatalogue(f"{path.name} is not an IDX file of {dimensions} dimensions")
    if len(data) - header != math.prod(shape):
        raise UnreadableCatalogue(f"{path.name} is cut off, or longer than its header says")
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def _file(folder: Path, name: str, what: str, dimensions: int) -> Path | None:
    plain = folder / f"{name}-{what}-idx{dimensions}-ubyte"
    return next((path for path in (plain, Path(f"{plain}.gz")) if path.is_file()), None)


def _sku(split: str, number: int) -> str:
    return f"{split}-{number:05}"


def _row(line: int, sku: str, split: str, kind: str, pixels: Bytes) -> FeedRow:
    fields: dict[str, Any] = {
        "display_name": f"{kind} {sku}",
        "article_type": kind,
        "attributes": {"split": split},
    }
    image = ImageFile(
        uri=None,
        size=pixels.size,
        mtime_ns=zlib.crc32(pixels.tobytes()),  # a checksum: there is no file with a time
        read=partial(_png, pixels),
    )
    return FeedRow(line=line, sku=sku, fields=fields, image=image)


def _png(pixels: Bytes, most: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    if buffer.tell() > most:
        raise ImageTooLarge(f"the image has {buffer.tell():,} bytes, more than {most:,}")
    return buffer.getvalue()
