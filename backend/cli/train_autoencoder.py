"""`lookalike train autoencoder`: an embedder that needs no labels and no weights of others."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backend.cli.common import bar, err, out, services

if TYPE_CHECKING:
    from backend.bootstrap import Services
    from backend.lab.training.autoencoder_run import AutoencoderRecipe, Run, TrainingImages

SHOWN_HELD_OUT = 512  # pictures: enough for a loss


class Dimensions(StrEnum):
    """Of the code."""

    SMALL = "512"
    LARGE = "4096"


def autoencoder(
    folder: Annotated[
        Path, typer.Argument(help="Where checkpoint, weights, curves and pictures go.")
    ],
    dimensions: Annotated[
        Dimensions, typer.Option(help="4096 keeps where things are, 512 does not.")
    ] = Dimensions.SMALL,
    epochs: Annotated[int, typer.Option(min=1, help="In all, those done before included.")] = 40,
    products: Annotated[
        int | None, typer.Option(min=1, help="Train on so many, drawn by the seed. Default: all.")
    ] = None,
    held_out: Annotated[
        float,
        typer.Option(
            min=0,
            max=0.9,
            help="Fraction of products never trained on, told by their sku: those that `evaluate "
            "--held-out` of the same fraction and seed asks for.",
        ),
    ] = 0.2,
    batch_size: Annotated[int, typer.Option(min=2, help="Pictures in one step.")] = 128,
    learning_rate: Annotated[float, typer.Option(min=1e-7, help="Adam's.")] = 3e-4,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of all draws.")] = 0,
) -> None:
    """Train a convolutional autoencoder; the same command again goes on where it stopped.

    Device, precision and threads are the settings'. What comes out is an embedder like any other:
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


def _train(found: Services, folder: Path, recipe: AutoencoderRecipe, *, epochs: int) -> Run:
    from backend.lab.training.autoencoder import train
    from backend.lab.training.tensorboard import can_draw

    if not can_draw():
        err.print("No curves are drawn: TensorBoard comes with the extra `train`.")
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
    """Divide the catalogue's pictures as `evaluate` does, and draw as many as are asked for."""
    import numpy as np

    from backend.lab.evaluation.products import read_products
    from backend.lab.evaluation.splits import draw, split
    from backend.lab.training.autoencoder_run import TrainingImages

    with found.db.read() as session:
        there = read_products(session)
    skus = [product.sku for product in there]
    parts = split(skus, [None] * len(skus), held_out=recipe.held_out, seed=recipe.seed)
    drawn = draw(np.flatnonzero(parts.training), recipe.products, seed=recipe.seed)
    judging = draw(np.flatnonzero(parts.held_out), SHOWN_HELD_OUT, seed=recipe.seed)
    return TrainingImages(
        training=[there[position].uri for position in drawn],
        held_out=[there[position].uri for position in judging],
    )


def _show(folder: Path, run: Run) -> None:
    from backend.lab.training.autoencoder_run import WEIGHTS

    last = run.epochs[-1]
    held_out = "" if last.held_out_loss is None else f", held out {last.held_out_loss:.5f}"
    out.print(
        f"{len(run.epochs)} epochs of {last.pictures:,} pictures; mean squared error "
        f"{last.loss:.5f}{held_out}. Embed with:\n\n"
        f"  LOOKALIKE_EMBEDDER='autoencoder?weights={folder.absolute() / WEIGHTS}'\n",
        soft_wrap=True,
        highlight=False,
    )
