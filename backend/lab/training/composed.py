"""Learn to tell pasted images from photographs, on what the frozen network pools of them.

    python -m backend.lab.training.composed CATALOGUE PHOTOGRAPHS --out composed.npz

CATALOGUE is a folder with `styles.csv` and `images/`; PHOTOGRAPHS has a folder of photographs for
each kind of clothes. Images are left out of the training as by `backend.lab.training.regions`. The
weights are a ridge regression in closed form. A tenth of the photographs decides the limit: 1% of
them count as pasted.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer
from PIL import Image

from backend.embedders import Compute, FloatArray
from backend.embedders.checkpoint import Checkpoint
from backend.embedders.composed import ComposedHead, roots
from backend.embedders.engines import OpenedNetwork
from backend.embedders.lookalike_blocks import POOLED, open_stacked
from backend.embedders.pixels import to_pixels
from backend.embedders.tuned import SHIPPED
from backend.lab.evaluation.splits import fraction_of
from backend.lab.training.composites import Maker
from backend.lab.training.regions import (
    HELD_OUT_PHOTOGRAPHS,
    photographs_to_learn,
    products_by_kind,
)

DECIDE_LIMIT: Final = HELD_OUT_PHOTOGRAPHS + 0.1  # photographs below it decide the limit
SHARE_LOST: Final = 0.01  # of photographs that count as pasted
RIDGE: Final = 1e4  # added to the diagonal, where each number has a variance of 1
BATCH: Final = 8


def pool(network: OpenedNetwork, images: Iterable[Image.Image]) -> FloatArray:
    """Return the roots of what the network pools of images, (n, POOLED)."""
    pooled, images = [], iter(images)
    while batch := list(islice(images, BATCH)):
        computed = network.run(to_pixels(batch, network.input_size))
        pooled.append(roots(computed[:, :POOLED]))
    return np.concatenate(pooled)


def fit(pasted: FloatArray, taken: FloatArray, limit_by: FloatArray) -> ComposedHead:
    """Fit the weights on roots of pooled numbers; `limit_by` are those of further photographs."""
    inputs = np.vstack([pasted, taken]).astype(np.float64)
    wanted = np.r_[np.ones(len(pasted)), -np.ones(len(taken))]
    mean, deviation = inputs.mean(axis=0), inputs.std(axis=0) + 1e-3
    scaled = (inputs - mean) / deviation
    products = scaled.T @ scaled + RIDGE * np.eye(scaled.shape[1])
    weights = np.linalg.solve(products, scaled.T @ (wanted - wanted.mean())) / deviation
    limit = np.quantile(limit_by @ weights, 1 - SHARE_LOST)
    return ComposedHead(weights=np.r_[weights, -limit].astype(np.float32))


def main(
    catalogue: Annotated[Path, typer.Argument(help="a folder with styles.csv and images/")],
    photographs: Annotated[Path, typer.Argument(help="a folder with a folder for each kind")],
    out: Annotated[Path, typer.Option(help="the .npz to write")],
    count: Annotated[int, typer.Option(help="composites to learn on")] = 3_200,
    seed: Annotated[int, typer.Option(help="decides the composites")] = 5,
) -> None:
    """Make composites, pool them and photographs, and fit the weights."""
    network = open_stacked(Checkpoint.load(SHIPPED), Compute(threads=0))
    shot = photographs_to_learn(photographs)
    maker = Maker(products_by_kind(catalogue), shot, seed=seed, input_size=network.input_size)
    learnt = [path for path, _ in shot if fraction_of(path.name) >= DECIDE_LIMIT]
    others = [path for path, _ in shot if fraction_of(path.name) < DECIDE_LIMIT]
    pasted = pool(network, (maker.paste_one(whole=number % 2 == 1) for number in range(count)))
    taken = pool(network, map(_opened, learnt))
    changed = pool(network, (maker.take_again(_opened(path)) for path in learnt))
    limit_by = pool(network, map(_opened, others))
    fit(pasted, np.vstack([taken, changed]), limit_by).save(out)


def _opened(path: Path) -> Image.Image:
    return Image.open(path).convert("RGB")


if __name__ == "__main__":
    typer.run(main)
