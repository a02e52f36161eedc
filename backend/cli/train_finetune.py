"""`lookalike train finetune`: tune a pretrained network to the catalogue's own labels."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backend.cli.common import Seed, bar, err, out, services

if TYPE_CHECKING:
    from backend.bootstrap import Services
    from backend.images.decode import Size
    from backend.lab.evaluation.labels import CatalogueProduct
    from backend.lab.training.objective import Aim
    from backend.lab.training.tuning_recipe import TuningRecipe

Folder = Annotated[Path, typer.Argument(help="The folder for state, weights, card, curves.")]
Labels = Annotated[
    str,
    typer.Option(
        metavar="FIELD[:WEIGHT],…",
        help="Columns or attributes to train on; unseen categories are those of the first.",
    ),
]
Joints = Annotated[
    str,
    typer.Option(
        "--joint",
        metavar="FIELD+FIELD[:WEIGHT],…",
        help="Joint labels to train on; may be empty.",
    ),
]
Unseen = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CATEGORY|FRACTION",
        help="Categories of the first label that are never trained on: by name (repeat it), or a "
        "fraction of them.",
    ),
]
After = Annotated[
    str,
    typer.Option(metavar="FOLDER", help="Start from the weights of this run, with a new schedule."),
]
Start = Annotated[
    str, typer.Option("--from", help="efficientnet-lite0, or torchvision/NAME[?weights=…].")
]
TuneFrom = Annotated[
    str, typer.Option(help="The first layer to train. Default: the network's last stages.")
]
InputSize = Annotated[str, typer.Option(metavar="HEIGHTxWIDTH", help="Default: the network's own.")]
Epochs = Annotated[int, typer.Option(min=1, help="In all; at the end the rate is 0.")]
HeadEpochs = Annotated[int, typer.Option(min=1, help="Epochs of the head alone.")]
BatchSize = Annotated[int, typer.Option(min=2, help="Images in one step.")]
HeldOut = Annotated[
    float, typer.Option(min=0, max=0.9, help="Fraction of products to validate with, by sku.")
]
NearDuplicate = Annotated[
    float, typer.Option(help="Do not train on products with such a cosine to a held-out one.")
]
StartWeight = Annotated[
    float, typer.Option(min=0, help="Weight of the starting features beside the tuned ones.")
]
Views = Annotated[
    int, typer.Option(min=1, help="Versions of each image; each takes as much disk space.")
]
Patience = Annotated[
    int, typer.Option(min=1, help="Stop after this number of epochs without a better score.")
]
Notes = Annotated[str, typer.Option(help="About the data and its licence, for the card.")]


def finetune(
    folder: Folder,
    labels: Labels = "article_type:1,sub_category:0.2",
    joint: Joints = "base_colour+article_type:2,gender+article_type:1",
    start: Start = "efficientnet-lite0",
    after: After = "",
    tune_from: TuneFrom = "",
    input_size: InputSize = "",
    epochs: Epochs = 15,
    head_epochs: HeadEpochs = 6,
    patience: Patience = 5,
    views: Views = 3,
    batch_size: BatchSize = 128,
    held_out: HeldOut = 0.1,
    unseen: Unseen = None,
    near_duplicate: NearDuplicate = 0.98,
    start_weight: StartWeight = 0.55,
    seed: Seed = 0,
    notes: Notes = "",
) -> None:
    """Tune a network to the catalogue; run the same command again to resume it.

    Device, precision and threads come from the settings. The result is an embedder like any other:
    `tuned?weights=FOLDER/tuned.npz`.
    """
    from backend.lab.training.tuning_recipe import TuningRecipe

    recipe = TuningRecipe(
        backbone=start,
        tune_from=tune_from,
        input_size=_size(input_size),
        aims=parse_aims(labels, joint),
        held_out=held_out,
        unseen=_unseen(unseen or ["0.05"]),
        near_duplicate=near_duplicate,
        after=after,
        epochs=epochs,
        head_epochs=head_epochs,
        patience=patience,
        batch_size=batch_size,
        views=views,
        start_weight=start_weight,
        seed=seed,
    )
    _tune(folder, recipe, notes)


def _tune(folder: Path, recipe: TuningRecipe, notes: str) -> None:
    """Run, or resume, the tuning, and say how to embed with its result."""
    from backend.lab.training.finetuning import finetune as run
    from backend.lab.training.tuning_run import TrainingContext

    with services() as found:
        context = TrainingContext(
            folder=folder,
            read_products=lambda: _read(found),
            open_images=found.image_opener.open,
            compute=found.embedders.compute,
            watch=bar,
            print_line=lambda line: err.print(line, highlight=False, soft_wrap=True),
            command=shlex.join(["lookalike", *sys.argv[1:]]),
            notes=notes,
        )
        history = run(context, recipe)
    out.print(
        f"{len(history)} epoch{'s' if len(history) != 1 else ''}. Embed with:\n\n"
        f"  LOOKALIKE_EMBEDDER='tuned?weights={(folder / 'tuned.npz').absolute()}'\n",
        soft_wrap=True,
        highlight=False,
    )


def _read(found: Services) -> list[CatalogueProduct]:
    from backend.lab.evaluation.labels import read_products

    with found.db.read() as session:
        return read_products(session)


def parse_aims(labels: str, joint: str) -> tuple[Aim, ...]:
    """Parse `label:weight` pairs, separated by commas. Raises typer.BadParameter."""
    from backend.lab.training.objective import Aim

    found = []
    for given in filter(None, [*labels.split(","), *joint.split(",")]):
        by, _, weight = given.partition(":")
        try:
            found.append(Aim(by=by.strip(), weight=float(weight or 1)))
        except ValueError:
            raise typer.BadParameter(f"{given}: expected FIELD:NUMBER") from None
    if not found or "+" in found[0].by:
        raise typer.BadParameter("the first label has to be a single one", param_hint="--labels")
    return tuple(found)


def _size(given: str) -> Size | None:
    if not given:
        return None
    height, _, width = given.partition("x")
    if not (height.isdecimal() and width.isdecimal() and int(height) and int(width)):
        raise typer.BadParameter("expected such as 224x168", param_hint="--input-size")
    return int(height), int(width)


def _unseen(given: list[str]) -> tuple[str, ...] | float:
    if len(given) == 1:
        try:
            return float(given[0])
        except ValueError:
            pass
    return tuple(given)
