"""The progress of one training of an autoencoder, and how it is kept in its folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from backend.errors import ConfigurationError
from backend.lab.training.run_folder import CARD, RunFolder

CHECKPOINT: Final = "checkpoint.pt"  # to resume from
WEIGHTS: Final = "autoencoder.pt"  # to embed with
RECONSTRUCTIONS: Final = "reconstructions-{epoch:03}.png"
LAYERS: Final = "layers.png"


@dataclass(frozen=True, kw_only=True)
class AutoencoderRecipe:
    """The options that decide the weights, together with the images. A run never changes them."""

    dimensions: int = 512
    batch_size: int = 128
    learning_rate: float = 3e-4
    products: int | None = None  # the most that are drawn
    held_out: float = 0  # fraction of the catalogue
    seed: int = 0


class TrainingImages(NamedTuple):
    """URIs, in the order in which they were drawn."""

    training: list[str]
    held_out: list[str]  # never trained on: their loss shows whether more epochs help


class Epoch(NamedTuple):
    """The results of one pass over the images."""

    loss: float  # mean squared error of a pixel, from 0 to 1, while training
    held_out_loss: float | None  # the same after the epoch; None without held-out images
    images: int  # trained on; an image that cannot be decoded does not count
    steps: int  # of the optimizer
    seconds: float

    def card_entry(self) -> dict[str, Any]:
        """Return the epoch as it is written in the card."""
        return {
            "loss": self.loss,
            "held_out_loss": self.held_out_loss,
            "pictures": self.images,
            "steps": self.steps,
            "seconds": self.seconds,
        }


@dataclass(kw_only=True)
class AutoencoderRun:
    """A run and its progress; `model` and `optimizer` are state dicts, empty before an epoch."""

    recipe: AutoencoderRecipe
    images: TrainingImages
    epochs: list[Epoch] = field(default_factory=list)
    model: Mapping[str, Any] = field(default_factory=dict)
    optimizer: Mapping[str, Any] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """The steps of the optimizer so far."""
        return sum(epoch.steps for epoch in self.epochs)

    def card(self) -> dict[str, Any]:
        """Return how the weights were made, as JSON values."""
        return {
            **asdict(self.recipe),
            "pictures": len(self.images.training),
            "held_out_pictures": len(self.images.held_out),
            "epochs": [epoch.card_entry() for epoch in self.epochs],
        }


def run_folder(path: Path) -> RunFolder:
    """Return the folder of an autoencoder's run."""
    return RunFolder(path, CHECKPOINT)


def begin_or_resume(
    path: Path, recipe: AutoencoderRecipe, draw: Callable[[], TrainingImages]
) -> AutoencoderRun:
    """Return the run in a folder; a new one, with images that `draw` returns, if there is none.

    Raises ConfigurationError when the folder holds a run of another recipe, or when there is no
    image to train on; WeightsUnavailable when the checkpoint is damaged.
    """
    folder = run_folder(path)
    found = folder.read_checkpoint()
    if found is None:
        images = draw()
        if not images.training:
            raise ConfigurationError(
                f"the catalogue has no image to train on; {len(images.held_out)} are held out"
            )
        return AutoencoderRun(recipe=recipe, images=images)
    folder.check_recipe(asdict(AutoencoderRecipe(**found["recipe"])), asdict(recipe))
    return AutoencoderRun(
        recipe=recipe,
        images=TrainingImages(*found["pictures"]),
        epochs=[Epoch(*epoch) for epoch in found["epochs"]],
        model=found["model"],
        optimizer=found["optimizer"],
    )


def save_checkpoint(path: Path, run: AutoencoderRun) -> None:
    """Save all that `begin_or_resume` reads."""
    content = {
        "recipe": asdict(run.recipe),
        "pictures": list(run.images),
        "epochs": [list(epoch) for epoch in run.epochs],
        "model": run.model,
        "optimizer": run.optimizer,
    }
    run_folder(path).save_checkpoint(content)


def save_result(path: Path, run: AutoencoderRun, weights: Mapping[str, Any]) -> None:
    """Write the weights to embed with, and the card for people."""
    folder = run_folder(path)
    folder.save_tensors(WEIGHTS, weights)
    folder.write_json(CARD, run.card())
