"""The folder of one training run: what it was asked for, and how far it has come."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch

from backend.embedders.weights import read_tensors
from backend.errors import ConfigurationError
from backend.files import replace_file

CHECKPOINT: Final = "checkpoint.pt"  # to go on from
WEIGHTS: Final = "autoencoder.pt"  # to embed with
CARD: Final = "card.json"
RECONSTRUCTIONS: Final = "reconstructions-{epoch:03}.png"
LAYERS: Final = "layers.png"


@dataclass(frozen=True, kw_only=True)
class AutoencoderRecipe:
    """What decides the weights, beside the pictures. A run keeps to it."""

    dimensions: int = 512
    batch_size: int = 128
    learning_rate: float = 3e-4
    products: int | None = None  # drawn at most
    held_out: float = 0  # fraction of the catalogue
    seed: int = 0


class TrainingImages(NamedTuple):
    """URIs, in the order in which they were drawn."""

    training: list[str]
    held_out: list[str]  # never trained on: the loss that tells whether more epochs help


class Epoch(NamedTuple):
    """What one pass over the pictures gave."""

    loss: float  # mean squared error of a pixel, from 0 to 1, while training
    held_out_loss: float | None  # the same afterwards; None without held-out pictures
    pictures: int  # trained on; those that cannot be decoded are left out
    steps: int  # of the optimiser
    seconds: float


@dataclass(kw_only=True)
class Run:
    """A run as far as it has come; `model` and `optimizer` are state dicts, empty before."""

    recipe: AutoencoderRecipe
    pictures: TrainingImages
    epochs: list[Epoch] = field(default_factory=list)
    model: Mapping[str, Any] = field(default_factory=dict)
    optimizer: Mapping[str, Any] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """The optimiser's steps so far."""
        return sum(epoch.steps for epoch in self.epochs)

    def card(self) -> dict[str, Any]:
        """Tell how the weights were made, in plain values."""
        return {
            **asdict(self.recipe),
            "pictures": len(self.pictures.training),
            "held_out_pictures": len(self.pictures.held_out),
            "epochs": [epoch._asdict() for epoch in self.epochs],
        }


def begin_or_resume(
    folder: Path, recipe: AutoencoderRecipe, draw: Callable[[], TrainingImages]
) -> Run:
    """Return the run of a folder; a new one, of pictures drawn now, if there is none.

    Raises ConfigurationError when the folder holds a run of another recipe, or there is nothing to
    train on; WeightsUnavailable when its checkpoint is damaged.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        pictures = draw()
        if not pictures.training:
            raise ConfigurationError("the catalogue has no picture to train on")
        return Run(recipe=recipe, pictures=pictures)
    found = read_tensors(path)
    _check(folder, AutoencoderRecipe(**found["recipe"]), recipe)
    return Run(
        recipe=recipe,
        pictures=TrainingImages(*found["pictures"]),
        epochs=[Epoch(*epoch) for epoch in found["epochs"]],
        model=found["model"],
        optimizer=found["optimizer"],
    )


def _check(folder: Path, begun: AutoencoderRecipe, wanted: AutoencoderRecipe) -> None:
    ours, theirs = asdict(wanted), asdict(begun)
    differing = [
        f"{name} {theirs[name]}, not {ours[name]}" for name in ours if ours[name] != theirs[name]
    ]
    if differing:
        raise ConfigurationError(
            f"{folder} holds a run with {'; '.join(differing)}: name another folder, or go on "
            "with the same options"
        )


def save_checkpoint(folder: Path, run: Run) -> None:
    """Replace the folder's checkpoint; whoever is killed meanwhile leaves the old one."""
    whole = {
        "recipe": asdict(run.recipe),
        "pictures": list(run.pictures),
        "epochs": [list(epoch) for epoch in run.epochs],
        "model": run.model,
        "optimizer": run.optimizer,
    }
    replace_file(folder / CHECKPOINT, lambda path: torch.save(whole, path))


def save_card(folder: Path, run: Run) -> None:
    """Write the card as JSON, for people."""
    text = json.dumps(run.card(), indent=1) + "\n"
    replace_file(folder / CARD, lambda path: path.write_text(text, "utf-8"))
