"""Learn the layers that find regions, on maps of the frozen network of `lookalike-blocks`.

    python -m backend.lab.training.regions CATALOGUE PHOTOGRAPHS --out regions.npz

CATALOGUE is a folder with `styles.csv` and `images/`; PHOTOGRAPHS has a folder of photographs for
each kind of clothes. Products whose sku has a number below 0.1, and photographs whose file name has
one below 0.2 (`backend.lab.evaluation.splits.fraction_of`), are left for `benchmarks/street.py`.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
import typer
from torch import Tensor, nn
from torch.nn import functional

from backend.embedders.backbones import load_backbone
from backend.embedders.checkpoint import Checkpoint
from backend.embedders.kept_rows import MAXIMA
from backend.embedders.lookalike_blocks import POOLED
from backend.embedders.pixels import Pixels
from backend.embedders.region_head import EARLY, LAST, TEXTURES, RegionHead, save_layers
from backend.embedders.regions import COLUMNS, FINE_COLUMNS, FINE_ROWS, KINDS, ROWS
from backend.embedders.stacked_tracing import stack
from backend.embedders.tuned import SHIPPED
from backend.lab.evaluation.splits import fraction_of
from backend.lab.training.composites import Maker
from backend.lab.training.region_loss import Targets, loss

HELD_OUT, HELD_OUT_PHOTOGRAPHS = 0.1, 0.2

FOLDERS: Final = (
    *("dress", "hat", "longsleeve", "outwear", "pants", "shirt", "shoes", "shorts", "skirt"),
    "t-shirt",
)
"""The folders of photographs, in the order of KINDS."""

TYPES: Final = {
    "dress": ("Dresses", "Nightdress"),
    "hat": ("Caps", "Hat"),
    "long-sleeve": ("Sweatshirts", "Sweaters"),
    "outerwear": ("Jackets", "Blazers", "Rain Jacket", "Suits", "Waistcoat", "Nehru Jackets"),
    "trousers": (
        *("Jeans", "Trousers", "Track Pants", "Leggings", "Capris", "Jeggings", "Churidar"),
        *("Patiala", "Salwar", "Tights", "Lounge Pants"),
    ),
    "shirt": ("Shirts",),
    "shoes": (
        *("Casual Shoes", "Sports Shoes", "Formal Shoes", "Heels", "Flip Flops", "Sandals"),
        *("Flats", "Sports Sandals", "Booties"),
    ),
    "shorts": ("Shorts", "Lounge Shorts", "Boxers"),
    "skirt": ("Skirts",),
    "t-shirt": ("Tshirts", "Tops"),
}
"""The catalogue's types of each kind; all others are `other`."""

SHAPES: Final = (
    (EARLY, FINE_ROWS, FINE_COLUMNS),
    (TEXTURES, ROWS, COLUMNS),
    (LAST, 7, 6),
    (LAST, 7, 6),
)
"""Of the maps that are judged."""

BATCH: Final = 32
LARGEST_RATE: Final = 4e-3
DECAY: Final = 1e-3

Maps: TypeAlias = list[npt.NDArray[np.float16]]
Shape: TypeAlias = tuple[int, int, int]


class _Flat(nn.Module):
    """Hands the maps on in place of judging them."""

    def forward(self, *maps: Tensor) -> Tensor:
        return torch.cat([each.flatten(1) for each in maps], dim=1)


def compute_maps(
    pixels: Pixels, *, judge: nn.Module | None = None, shapes: Sequence[Shape] = SHAPES
) -> Maps:
    """Return what `judge` makes of the maps of images, one array for each of `shapes`.

    Without a `judge` these are the maps themselves.
    """
    checkpoint = Checkpoint.load(SHIPPED)
    backbone = load_backbone(checkpoint.backbone, input_size=checkpoint.input_size)
    network = stack(checkpoint, backbone, judge or _Flat()).eval()
    found: Maps = [np.empty((len(pixels), *shape), np.float16) for shape in shapes]
    mean, std = (
        torch.tensor(each)[:, None, None]
        for each in (backbone.preprocessing.mean, backbone.preprocessing.std)
    )
    for start in range(0, len(pixels), BATCH):
        colours = torch.from_numpy(pixels[start : start + BATCH]).permute(0, 3, 1, 2).float()
        with torch.inference_mode():
            flat = network((colours - mean) / std)[:, POOLED:-MAXIMA, 0, 0]
        parts = flat.split([int(np.prod(shape)) for shape in shapes], dim=1)
        for maps, shape, part in zip(found, shapes, parts, strict=True):
            maps[start : start + BATCH] = part.reshape(-1, *shape).numpy()
    return found


def learn(maps: Maps, targets: Targets, *, epochs: int, seed: int = 0) -> RegionHead:
    """Learn the layers; what scales the maps to one size is folded into their weights."""
    torch.manual_seed(seed)
    scales = [scale_of(each) for each in maps]
    head, count = RegionHead(), len(maps[0])
    optimizer = torch.optim.AdamW(head.parameters(), weight_decay=DECAY)
    steps = epochs * (count // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LARGEST_RATE, steps)
    random = np.random.default_rng(seed)
    for _ in range(epochs):
        order = random.permutation(count)
        for start in range(0, count - BATCH + 1, BATCH):
            rows = np.sort(order[start : start + BATCH])
            chosen = rows_of(maps, scales, rows)
            optimizer.zero_grad()
            value = loss(*head.judge(*_dropped(chosen)), targets.of(torch.from_numpy(rows)))
            value.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    _fold(head, scales)
    return head


def scale_of(maps: npt.NDArray[np.float16]) -> Tensor:
    """Return the root of the mean square of each channel of the first 400 maps: (channels,)."""
    squares = (maps[:400].astype(np.float32) ** 2).mean(axis=(0, 2, 3))
    return torch.from_numpy(np.sqrt(squares + 1e-4))


def rows_of(maps: Maps, scales: Sequence[Tensor], rows: npt.NDArray[np.intp]) -> list[Tensor]:
    """Return the maps of some images, each channel divided by its scale."""
    return [
        torch.from_numpy(each[rows].astype(np.float32)) / scale[:, None, None]
        for each, scale in zip(maps, scales, strict=True)
    ]


def _dropped(maps: list[Tensor]) -> list[Tensor]:
    """Leave out a tenth of the channels of the deep maps, so that no product is learnt by heart."""
    return [*maps[:2], *(functional.dropout2d(each, 0.1) for each in maps[2:])]


def _fold(head: RegionHead, scales: list[Tensor]) -> None:
    fold(head.early, scales[0])
    fold(head.textures, scales[1])
    fold(head.deep, *scales[2:])


def fold(layer: nn.Conv2d, *scales: Tensor) -> None:
    """Have a layer read maps that are not divided by their scales."""
    layer.weight.data /= torch.cat(scales)[None, :, None, None]


def products_by_kind(catalogue: Path) -> list[list[Path]]:
    """Return the images of products that may be learnt from, for each of KINDS."""
    kind_of = {name: kind for kind, names in TYPES.items() for name in names}
    found: dict[str, list[Path]] = {kind: [] for kind in KINDS}
    with (catalogue / "styles.csv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            image = catalogue / "images" / f"{row['id']}.jpg"
            if fraction_of(row["id"]) >= HELD_OUT and image.exists():
                found[kind_of.get(row["articleType"], "other")].append(image)
    return [found[kind] for kind in KINDS]


def photographs_to_learn(folder: Path) -> list[tuple[Path, int]]:
    """Return the photographs that may be learnt from, with the numbers of their kinds."""
    return [
        (path, number)
        for number, name in enumerate(FOLDERS)
        for path in sorted((folder / name).iterdir())
        if fraction_of(path.name) >= HELD_OUT_PHOTOGRAPHS
    ]


Catalogue: TypeAlias = Annotated[Path, typer.Argument(help="a folder with styles.csv and images/")]
Photographs: TypeAlias = Annotated[
    Path, typer.Argument(help="a folder with a folder for each kind")
]
Out: TypeAlias = Annotated[Path, typer.Option(help="the .npz to write")]


def main(
    catalogue: Catalogue,
    photographs: Photographs,
    out: Out,
    count: Annotated[int, typer.Option(help="composites to learn on")] = 6_000,
    epochs: Annotated[int, typer.Option(help="how often each is seen")] = 8,
    seed: Annotated[int, typer.Option(help="decides composites and weights")] = 11,
) -> None:
    """Make composites, compute their maps once, and learn the layers that find regions."""
    size = Checkpoint.load(SHIPPED).input_size
    products, shot = products_by_kind(catalogue), photographs_to_learn(photographs)
    composites = Maker(products, shot, seed=seed, input_size=size).make(count)
    head = learn(compute_maps(composites.pixels), Targets.of_composites(composites), epochs=epochs)
    save_layers(head, out)


if __name__ == "__main__":
    typer.run(main)
