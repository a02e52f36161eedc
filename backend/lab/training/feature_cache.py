"""The output of the frozen part of a network for each image, computed once and kept on disk.

A view is a version of an image: view 0 is the whole image, the others are random crops that keep at
least 80% of each side, half of them mirrored. With one view only, the part that learns would
memorise the cached maps.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, fx

from backend.embedders import FloatArray
from backend.embedders.batch_norms import fold_batch_norms
from backend.embedders.bf16 import cast_to_bf16
from backend.embedders.pixels import Pixels, to_pixels
from backend.errors import ConfigurationError
from backend.files import replace_file
from backend.images.decode import Size
from backend.images.decoder_pool import Decoded
from backend.lab.evaluation.labels import CatalogueProduct
from backend.lab.training.hardware import Hardware
from backend.lab.types import OpenImages, Positions, Report

BATCH: Final = 32
CHUNK: Final = 512
"""Images after which progress is written down: a killed run computes the last chunk again."""

SMALLEST_CROP: Final = 0.8  # of a side
DISK_LEFT: Final = 500_000_000  # bytes that stay free, for checkpoints and for other programs


class FrozenStem:
    """The part of a network that does not learn, with the tail that it was trained with."""

    def __init__(
        self,
        stem: fx.GraphModule,
        tail: fx.GraphModule,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        bf16_from: str,
        hardware: Hardware,
    ) -> None:
        """Prepare both parts in place. Their input is (RGB - mean) / std of RGB from 0 to 255."""
        for part, start in ((stem, bf16_from), (tail, "")):
            fold_batch_norms(part)
            if hardware.precision == "bf16":
                cast_to_bf16(part, start=start)
        self._stem = hardware.place(stem)
        self._tail = hardware.place(tail)
        self._mean = torch.tensor(mean).reshape(1, 3, 1, 1).to(hardware.device)
        self._std = torch.tensor(std).reshape(1, 3, 1, 1).to(hardware.device)

    @torch.inference_mode()
    def maps(self, pixels: Pixels) -> Tensor:
        """Return the maps at the cut, (n, channels, height, width)."""
        colours = torch.from_numpy(pixels).to(self._mean.device).permute(0, 3, 1, 2).float()
        maps: Tensor = self._stem((colours - self._mean) / self._std)
        return maps

    @torch.inference_mode()
    def pooled(self, maps: Tensor) -> FloatArray:
        """Return the starting network's features, (n, channels), not normalised."""
        return np.asarray(self._tail(maps).float().mean(dim=(2, 3)).cpu().numpy(), np.float32)


class FeatureCache:
    """The maps and the starting features of images as float16; `fill` computes them.

    Each combination of stem, input size and list of images has a folder, named by its digest.
    Filling resumes where a killed run stopped.
    """

    def __init__(
        self,
        folder: Path,
        stem: FrozenStem,
        products: Sequence[CatalogueProduct],
        *,
        fingerprint: str,
        input_size: Size,
        open_images: OpenImages,
        seed: int = 0,
    ) -> None:
        self._stem = stem
        self._products = products
        self._input_size = input_size
        self._open = open_images
        self._seed = seed
        which = [fingerprint, input_size, [(one.sku, one.digest, one.uri) for one in products]]
        self._folder = folder / hashlib.sha256(json.dumps(which).encode()).hexdigest()[:16]
        self._folder.mkdir(parents=True, exist_ok=True)
        self._views: dict[int, npt.NDArray[np.float16]] = {}
        blank = stem.maps(np.zeros((1, *input_size, 3), np.uint8))
        channels, height, width = blank.shape[1:]
        self._shape = (len(products), height, width, channels)
        self._channels = stem.pooled(blank).shape[1]

    def fill(self, view: int, rows: Positions, *, report: Report) -> None:
        """Compute one view of some products, unless it is stored already.

        Raises ConfigurationError where the disk has too little space.
        """
        name = f"view-{view}-{hashlib.sha256(rows.tobytes()).hexdigest()[:8]}"
        self._check_disk(self._folder / f"{name}.npy", len(rows))
        maps = _array(self._folder / f"{name}.npy", self._shape)
        self._views[view] = maps
        progress = self._folder / f"{name}.done"
        done = _read_number(progress)
        report(done, len(rows))
        for start in range(done, len(rows), CHUNK):
            chunk = rows[start : start + CHUNK]
            self._fill(view, maps, chunk)
            progress.write_text(str(start + len(chunk)))
            report(start + len(chunk), len(rows))

    def maps(self, rows: Positions, views: npt.NDArray[np.integer]) -> Tensor:
        """Return maps (n, channels, height, width), each of a product and a view of it."""
        maps = np.empty((len(rows), *self._shape[1:]), np.float16)
        for view in np.unique(views):
            chosen = views == view
            maps[chosen] = self._views[int(view)][rows[chosen]]
        return torch.from_numpy(maps).permute(0, 3, 1, 2)  # they are stored channels last

    @property
    def starting(self) -> npt.NDArray[np.float16]:
        """The starting features of view 0, (products, channels); zeros without an image."""
        return _array(self._folder / "starting.npy", (len(self._products), self._channels))

    def _check_disk(self, path: Path, count: int) -> None:
        """Check before writing: a full disk kills a process that writes to a mapped array."""
        needed = 2 * count * int(np.prod(self._shape[1:]))
        free = shutil.disk_usage(self._folder).free
        if not path.exists() and free < needed + DISK_LEFT:
            raise ConfigurationError(
                f"{self._folder} needs {(needed + DISK_LEFT) / 1e9:.1f} GB, and {free / 1e9:.1f} "
                "GB are free"
            )

    def _fill(self, view: int, maps: npt.NDArray[np.float16], rows: Positions) -> None:
        starting = self.starting
        for some, pixels in self._pixels(view, rows):
            output = self._stem.maps(pixels)
            maps[some] = output.permute(0, 2, 3, 1).cpu().to(torch.float16).numpy()
            if view == 0:
                starting[some] = self._stem.pooled(output)
        for array in (maps, starting):
            array.flush()  # type: ignore[attr-defined]

    def _pixels(self, view: int, rows: Positions) -> Iterator[tuple[list[int], Pixels]]:
        """Yield batches of decoded images with their rows; images that fail are left out."""
        uris = [self._products[row].uri for row in rows]
        opened = zip(rows.tolist(), self._open(uris, self._input_size), strict=True)
        while batch := list(islice(opened, BATCH)):
            good = [(row, one.image) for row, one in batch if isinstance(one, Decoded)]
            if good:
                views = [self._view(row, image, view) for row, image in good]
                yield [row for row, _ in good], to_pixels(views, self._input_size)

    def _view(self, row: int, image: Image.Image, number: int) -> Image.Image:
        return make_view(image, number, name=f"{self._seed}:{self._products[row].sku}")


def make_view(image: Image.Image, number: int, *, name: str) -> Image.Image:
    """Return one view of an image. Name and number alone decide the crop."""
    if number == 0:
        return image
    digest = hashlib.sha256(f"{name}:{number}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    width, height = (side * rng.uniform(SMALLEST_CROP, 1) for side in image.size)
    left = rng.uniform(0, image.width - width)
    top = rng.uniform(0, image.height - height)
    box = (left, top, left + width, top + height)
    crop = image.resize(image.size, Image.Resampling.BICUBIC, box=box)
    return crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else crop


def _read_number(path: Path) -> int:
    """Return the number in a file; 0 where there is none, or a full disk has left it empty."""
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        return 0


def _array(path: Path, shape: tuple[int, ...]) -> npt.NDArray[np.float16]:
    """Open an array on disk; create it, sparse and filled with zeros, if it is not there."""
    if not path.exists():
        replace_file(
            path,
            lambda draft: np.lib.format.open_memmap(
                draft, mode="w+", dtype=np.float16, shape=shape
            ).flush(),
        )
    try:
        return np.lib.format.open_memmap(path, mode="r+")
    except ValueError as error:
        raise ConfigurationError(f"{path} is damaged ({error}): delete it") from None
