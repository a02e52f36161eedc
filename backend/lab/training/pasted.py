"""Learn the layers that tell what was pasted on an image, on maps of the frozen network.

    python -m backend.lab.training.pasted CATALOGUE PHOTOGRAPHS --in-full FOLDER --out pasted.npz

CATALOGUE is a folder with `styles.csv` and `images/`; PHOTOGRAPHS has a folder of photographs for
each kind of clothes; FOLDER has products' images in full size, which are named by their skus.
Images are left out of the training as by `backend.lab.training.regions`, and those in full size
whose number is below 0.25. A tenth of the photographs decides the limit: 1% of them count as
pasted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import numpy as np
import numpy.typing as npt
import torch
import typer
from torch import Tensor, nn
from torch.nn import functional

from backend.embedders.checkpoint import Checkpoint
from backend.embedders.lookalike_blocks import REGIONS
from backend.embedders.pixels import Pixels
from backend.embedders.region_head import (
    EARLY,
    FINE_WIDTH,
    TEXTURES,
    WIDTH,
    PastedHead,
    RegionHead,
    load_layers,
    save_layers,
)
from backend.embedders.regions import COLUMNS, DOUBT, FINE_COLUMNS, FINE_ROWS, ROWS
from backend.embedders.tuned import SHIPPED
from backend.lab.evaluation.splits import fraction_of
from backend.lab.training.composites import MASK
from backend.lab.training.pasted_images import PastedMaker
from backend.lab.training.regions import (
    DECAY,
    HELD_OUT_PHOTOGRAPHS,
    LARGEST_RATE,
    Catalogue,
    Maps,
    Out,
    Photographs,
    compute_maps,
    fold,
    photographs_to_learn,
    products_by_kind,
    rows_of,
    scale_of,
)

DECIDE_LIMIT: Final = HELD_OUT_PHOTOGRAPHS + 0.1  # photographs below it decide the limit
HELD_OUT_IN_FULL: Final = 0.25  # few products have such images, so more of them are left out
SHARE_LOST: Final = 0.01  # of photographs that count as pasted
SHARE_IN_DOUBT: Final = 0.03  # of photographs that are looked at again, or count as pasted
BATCH: Final = 64
MASK_WEIGHT, ANY_WEIGHT, ORDER_WEIGHT = 2.0, 0.5, 0.25  # of the parts of the loss
DROPPED: Final = 0.2  # share of channels at a stride of 16 that are left out at each step

SHAPES: Final = (
    (EARLY, FINE_ROWS, FINE_COLUMNS),
    (TEXTURES, ROWS, COLUMNS),
    (WIDTH, ROWS, COLUMNS),
    (FINE_WIDTH, FINE_ROWS, FINE_COLUMNS),
)
"""Of the maps that are judged: two of the network, two of the layers that find regions."""


class _Described(nn.Module):
    """Hands on what `PastedHead` reads."""

    def __init__(self) -> None:
        super().__init__()
        self.regions = load_layers(RegionHead(), REGIONS)

    def forward(self, early: Tensor, textures: Tensor, last: Tensor, tuned: Tensor) -> Tensor:
        maps = early, textures, *self.regions.describe(early, textures, last, tuned)
        return torch.cat([each.flatten(1) for each in maps], dim=1)


def describe(pixels: Pixels) -> Maps:
    """Return the maps of images, one array for each of SHAPES."""
    return compute_maps(pixels, judge=_Described(), shapes=SHAPES)


def learn(maps: Maps, masks: npt.NDArray[np.float16], *, epochs: int, seed: int = 0) -> PastedHead:
    """Learn the layers; the first images have the masks, on all others nothing was pasted.

    `masks` are (masked images, *MASK), from 0 to 1.
    """
    torch.manual_seed(seed)
    scales, head, count = [scale_of(each) for each in maps], PastedHead(), len(maps[0])
    optimizer = torch.optim.AdamW(head.parameters(), weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LARGEST_RATE, epochs * (count // BATCH)
    )
    random = np.random.default_rng(seed)
    for _ in range(epochs):
        order = random.permutation(count)
        for start in range(0, count - BATCH + 1, BATCH):
            rows = np.sort(order[start : start + BATCH])
            early, textures, cells, fine = rows_of(maps, scales, rows)
            textures, cells = (functional.dropout2d(each, DROPPED) for each in (textures, cells))
            optimizer.zero_grad()
            mask, any_ = head(early, textures, cells, fine)
            value = loss(mask, any_, masks_of(rows, masks))
            value.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    fold(head.edges, scales[0], scales[3])
    fold(head.coarse, scales[1], scales[2])
    return head.eval()


def masks_of(rows: npt.NDArray[np.intp], masks: npt.NDArray[np.float16]) -> Tensor:
    """Return the masks of some images, (rows, *MASK); zeros for those behind the last mask."""
    wanted = torch.zeros(len(rows), *MASK)
    pasted = rows < len(masks)
    wanted[torch.from_numpy(pasted)] = torch.from_numpy(masks[rows[pasted]].astype(np.float32))
    return wanted


def loss(mask: Tensor, any_: Tensor, wanted: Tensor) -> Tensor:
    """Return the loss of masks, and of whether there is anything on them: one number.

    `mask` (n, 1, rows, columns) and `any_` (n, 1) are logits, `wanted` (n, *MASK) from 0 to 1.
    """
    larger = functional.interpolate(mask, MASK, mode="bilinear", align_corners=False)[:, 0]
    has_any = (wanted.amax(dim=(1, 2)) > 0.5).float()
    entropy = functional.binary_cross_entropy_with_logits
    return (
        MASK_WEIGHT * entropy(larger, wanted)
        + ANY_WEIGHT * entropy(any_[:, 0], has_any)
        + ORDER_WEIGHT * _order_loss(any_[:, 0], has_any > 0.5)
    )


def _order_loss(told: Tensor, has_any: Tensor) -> Tensor:
    """Return how far images with something pasted are from being above all others of the batch.

    The highest of the others count the most, since few of them may be taken for pasted.
    """
    if has_any.all() or not has_any.any():
        return told.sum() * 0
    highest = torch.logsumexp(told[~has_any], dim=0)
    return functional.softplus(highest - told[has_any]).mean()


def judge(head: PastedHead, maps: Maps) -> npt.NDArray[np.float32]:
    """Return the logit, for each image, that something was pasted on it: (n,)."""
    judged = []
    with torch.inference_mode():
        for start in range(0, len(maps[0]), BATCH):
            part = [torch.from_numpy(each[start : start + BATCH]).float() for each in maps]
            judged.append(head(*part)[1][:, 0].numpy())
    return np.concatenate(judged)


def main(
    catalogue: Catalogue,
    photographs: Photographs,
    out: Out,
    in_full: Annotated[Path | None, typer.Option(help="images in full size, below it")] = None,
    count: Annotated[int, typer.Option(help="composites to learn on")] = 9_000,
    epochs: Annotated[int, typer.Option(help="how often each is seen")] = 20,
    seed: Annotated[int, typer.Option(help="decides composites and weights")] = 5,
) -> None:
    """Make composites, compute their maps and those of photographs, and learn the layers."""
    size, shot = Checkpoint.load(SHIPPED).input_size, photographs_to_learn(photographs)
    learnt = [path for path, _ in shot if fraction_of(path.name) >= DECIDE_LIMIT]
    others = [path for path, _ in shot if fraction_of(path.name) < DECIDE_LIMIT]
    large = sorted(in_full.rglob("*.jpg")) if in_full else []
    maker = PastedMaker(
        products_by_kind(catalogue),
        shot,
        things=learnt,
        in_full=[path for path in large if fraction_of(path.stem) >= HELD_OUT_IN_FULL],
        seed=seed,
        input_size=size,
    )
    pasted = maker.make_pasted(count)
    maps = describe(np.concatenate([pasted.pixels, maker.take_photographs(learnt)]))
    head = learn(maps, pasted.masks, epochs=epochs, seed=seed)
    as_they_are = maker.take_photographs(others)[: len(others)]
    set_limits(head, judge(head, describe(as_they_are)))
    save_layers(head, out)


def set_limits(head: PastedHead, told: npt.NDArray[np.float32]) -> None:
    """Have SHARE_LOST of photographs above 0, and SHARE_IN_DOUBT above DOUBT.

    `told` are the numbers that `judge` returns of photographs on which nothing was pasted.
    """
    limit, doubt = np.quantile(told, [1 - SHARE_LOST, 1 - SHARE_IN_DOUBT])
    unit = -DOUBT / float(limit - doubt)
    head.any.weight.data *= unit
    head.any.bias.data = (head.any.bias.data - float(limit)) * unit


if __name__ == "__main__":
    typer.run(main)
