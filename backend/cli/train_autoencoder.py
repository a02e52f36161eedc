"""`lookalike train autoencoder`: an embedder without labels and without pretrained weights."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backend.cli.common import Seed, bar, err, out, services

if TYPE_CHECKING:
    from backend.bootstrap import Services
    from backend.lab.training.autoencoder_run import (
        AutoencoderRecipe,
        AutoencoderRun,
        TrainingImages,
    )

HELD_OUT_IMAGES = 512  # enough to measure a loss


class Dimensions(StrEnum):
    """Dimensions of the code."""

    SMALL = "512"
    LARGE = "4096"


Folder = Annotated[
    Path, typer.Argument(help="The folder for checkpoint, weights, curves and images.")
]
CodeSize = Annotated[
    Dimensions, typer.Option(help="4096 keeps the positions of details, 512 does not.")
]
Epochs = Annotated[int, typer.Option(min=1, help="Including those of earlier calls.")]
Products = Annotated[
    int | None, typer.Option(min=1, help="Products to train on, drawn by seed. Default: all.")
]
HeldOut = Annotated[
    float,
    typer.Option(
        min=0,
        max=0.9,
        help="Fraction of products never trained on, by sku: the queries of `evaluate --held-out` "
        "with the same fraction and seed.",
    ),
]
BatchSize = Annotated[int, typer.Option(min=2, help="Images in one step.")]
LearningRate = Annotated[float, typer.Option(min=1e-7, help="The optimizer is Adam.")]


def autoencoder(
    folder: Folder,
    dimensions: CodeSize = Dimensions.SMALL,
    epochs: Epochs = 40,
    products: Products = None,
    held_out: HeldOut = 0.2,
    batch_size: BatchSize = 128,
    learning_rate: LearningRate = 3e-4,
    seed: Seed = 0,
) -> None:
    """Train a convolutional autoencoder; run the same command again to resume it.

    Device, precision and threads come from the settings. The result is an embedder like any other:
    `autoencoder?weights=FOLDER/autoencoder.pt`.
    """
    from backend.lab.training.autoencoder_run import AutoencoderRecipe

    recipe = AutoencoderRecipe(
        dimensions=int(dimensions),
        batch_size=batch_size,
        learning_rate=learning_rate,
        products=products,
        held_out=held_out,
        seed=seed,
    )
    with services() as found:
        run = _train(found, folder, recipe, epochs=epochs)
    _show(folder, run)


def _train(
    found: Services, folder: Path, recipe: AutoencoderRecipe, *, epochs: int
) -> AutoencoderRun:
    from backend.lab.training.autoencoder import train
    from backend.lab.training.tensorboard import can_write_curves

    if not can_write_curves():
        err.print("No curves are written: TensorBoard comes with the extra `train`.")
    with bar(f"Training {recipe.dimensions} dimensions") as progress:
        return train(
            folder,
            recipe,
            epochs=epochs,
            draw=lambda: _draw(found, recipe),
            open_images=found.image_opener.open,
            compute=found.embedders.compute,
            report=progress,
        )


def _draw(found: Services, recipe: AutoencoderRecipe) -> TrainingImages:
    """Split the catalogue's images as `evaluate` does, and draw as many as the recipe wants."""
    import numpy as np

    from backend.lab.evaluation.labels import read_products
    from backend.lab.evaluation.splits import draw, split
    from backend.lab.training.autoencoder_run import TrainingImages

    with found.db.read() as session:
        products = read_products(session)
    skus = [product.sku for product in products]
    parts = split(skus, [None] * len(skus), held_out=recipe.held_out, seed=recipe.seed)
    drawn = draw(np.flatnonzero(parts.training), recipe.products, seed=recipe.seed)
    held_out = draw(np.flatnonzero(parts.held_out), HELD_OUT_IMAGES, seed=recipe.seed)
    return TrainingImages(
        training=[products[position].uri for position in drawn],
        held_out=[products[position].uri for position in held_out],
    )


def _show(folder: Path, run: AutoencoderRun) -> None:
    from backend.lab.training.autoencoder_run import WEIGHTS

    last = run.epochs[-1]
    held_out = "" if last.held_out_loss is None else f", held out {last.held_out_loss:.5f}"
    epochs = "1 epoch" if len(run.epochs) == 1 else f"{len(run.epochs)} epochs"
    out.print(
        f"{epochs} of {last.images:,} images; mean squared error "
        f"{last.loss:.5f}{held_out}. Embed with:\n\n"
        f"  LOOKALIKE_EMBEDDER='autoencoder?weights={folder.absolute() / WEIGHTS}'\n",
        soft_wrap=True,
        highlight=False,
    )
