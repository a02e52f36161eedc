"""Train an autoencoder on images. The loss is the mean squared error of pixels from 0 to 1.

A run is one folder. It writes a checkpoint after each epoch. When the same call is made
again, it resumes from there, and reaches the same weights as a run that was never interrupted (on
the same device, with the same number of threads). This works for three reasons: seed and epoch
alone decide the order of an epoch, the run keeps the list of images that it began with, and nothing
else is random.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor
from torch.nn.functional import mse_loss

from backend.embedders import Compute
from backend.embedders.autoencoder import INPUT_SIZE, Autoencoder, model_file
from backend.errors import ConfigurationError
from backend.images.decoder_pool import Decoded
from backend.lab.training.autoencoder_curves import Curves
from backend.lab.training.autoencoder_images import (
    draw_layers,
    draw_reconstructions,
    to_colours,
)
from backend.lab.training.autoencoder_run import (
    LAYERS,
    RECONSTRUCTIONS,
    AutoencoderRecipe,
    AutoencoderRun,
    Epoch,
    TrainingImages,
    begin_or_resume,
    save_checkpoint,
    save_result,
)
from backend.lab.training.hardware import Hardware
from backend.lab.types import OpenImages, Report

SHOWN: Final = 8
"""Images on a sheet of reconstructions."""


def train(
    folder: Path,
    recipe: AutoencoderRecipe,
    *,
    epochs: int,
    draw: Callable[[], TrainingImages],
    open_images: OpenImages,
    compute: Compute,
    report: Report,
) -> AutoencoderRun:
    """Train until the run has `epochs` in all; resume from the folder's checkpoint if it has one.

    `draw` returns the images of a new run. The folder then holds the weights, their card, curves,
    the layers' maps, and a sheet of reconstructions for each epoch. An image that cannot be decoded
    is left out; `report` counts the images of all epochs. Raises ConfigurationError and
    WeightsUnavailable as `begin_or_resume` does.
    """
    run = begin_or_resume(folder, recipe, draw)
    trainer = AutoencoderTrainer(run, open_images=open_images, compute=compute)
    with Curves(folder, steps=run.steps) as curves:
        for number in range(len(run.epochs), epochs):
            epoch, losses = trainer.train_epoch(number, _report_epoch(report, run, number, epochs))
            run.epochs.append(epoch)
            run.model, run.optimizer = trainer.state()
            save_checkpoint(folder, run)
            curves.add(epoch, losses)
            trainer.save_reconstructions(folder / RECONSTRUCTIONS.format(epoch=number + 1))
    trainer.finish(folder)
    return run


def _report_epoch(
    report: Report, run: AutoencoderRun, number: int, epochs: int
) -> Callable[[int], None]:
    """Return a function that takes the progress of one epoch and reports that of all of them."""
    images = len(run.images.training)
    return lambda done: report(number * images + done, epochs * images)


class AutoencoderTrainer:
    """The network and the optimizer of a run."""

    def __init__(self, run: AutoencoderRun, *, open_images: OpenImages, compute: Compute) -> None:
        """Initialise the network by the recipe's seed, or from the run's checkpoint."""
        self._run = run
        self._open = open_images
        self._hardware = Hardware.of(compute)
        self._autocast = torch.autocast(
            self._hardware.device.type, torch.bfloat16, enabled=self._hardware.precision == "bf16"
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(run.recipe.seed)
            model = Autoencoder(run.recipe.dimensions)
        self.model = self._hardware.place(model)
        self._optimizer = torch.optim.Adam(self.model.parameters(), lr=run.recipe.learning_rate)
        if run.epochs:
            self.model.load_state_dict(run.model)
            self._optimizer.load_state_dict(dict(run.optimizer))

    def state(self) -> tuple[dict[str, Tensor], dict[str, object]]:
        """Return the state dicts of the network and the optimizer."""
        return self.model.state_dict(), self._optimizer.state_dict()

    def train_epoch(
        self, number: int, report: Callable[[int], None]
    ) -> tuple[Epoch, Sequence[float]]:
        """Train once on each image, in the order of epoch `number`; also return batch losses.

        Raises ConfigurationError if no image can be decoded.
        """
        started = time.monotonic()
        uris = self._run.images.training
        order = np.random.default_rng([self._run.recipe.seed, number]).permutation(len(uris))
        self.model.train()
        losses, sizes = [], []
        for batch in self._batches([uris[position] for position in order]):
            losses.append(self._step(batch))
            sizes.append(len(batch))
            report(sum(sizes))
        seconds = time.monotonic() - started
        if not sizes:
            raise ConfigurationError("none of the images can be decoded")
        seen = torch.stack(losses).double().cpu().numpy()  # one read only: on a GPU each one blocks
        epoch = Epoch(
            loss=float(np.average(seen, weights=sizes)),
            held_out_loss=self._held_out_loss(),
            images=sum(sizes),
            steps=len(sizes),
            seconds=seconds,
        )
        return epoch, seen.tolist()

    def _step(self, batch: Sequence[Image]) -> Tensor:
        colours = to_colours(batch, self._hardware.device)
        with self._autocast:
            decoded = self.model(colours)
        loss = mse_loss(decoded.float(), colours)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        return loss.detach()

    @torch.inference_mode()
    def _held_out_loss(self) -> float | None:
        self.model.eval()
        total = images = 0.0
        for batch in self._batches(self._run.images.held_out):
            colours = to_colours(batch, self._hardware.device)
            with self._autocast:
                decoded = self.model(colours)
            total += float(mse_loss(decoded.float(), colours)) * len(batch)
            images += len(batch)
        return total / images if images else None

    def _batches(self, uris: Sequence[str]) -> Iterator[list[Image]]:
        opened = self._open(uris, INPUT_SIZE)
        images = (one.image for one in opened if isinstance(one, Decoded))
        while batch := list(islice(images, self._run.recipe.batch_size)):
            yield batch

    def _examples(self) -> list[Image]:
        """Open a few held-out images; training images where none are held out."""
        uris = self._run.images.held_out or self._run.images.training
        opened = self._open(uris[:SHOWN], INPUT_SIZE)
        return [one.image for one in opened if isinstance(one, Decoded)]

    def save_reconstructions(self, path: Path) -> None:
        """Write a sheet of a few images with their reconstructions."""
        if examples := self._examples():
            draw_reconstructions(self.model, examples).save(path, optimize=True)

    def finish(self, folder: Path) -> None:
        """Write the weights to embed with, their card, and the layers' maps of one image."""
        save_result(folder, self._run, model_file(self.model, self._run.card()))
        if examples := self._examples():
            draw_layers(self.model, examples[0]).save(folder / LAYERS, optimize=True)
