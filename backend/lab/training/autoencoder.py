"""Train an autoencoder on pictures: the mean squared error of every pixel, from 0 to 1.

A run lives in one folder. After each epoch it writes a checkpoint; the same call goes on from
there, to the same weights as if it had never been interrupted (on the same device, with as many
threads). That rests on three things: the order of an epoch is drawn from seed and epoch alone, the
pictures are those that the run began with, and nothing else is random.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor
from torch.nn.functional import mse_loss

from backend.embedders import Compute
from backend.embedders.autoencoder import INPUT_SIZE, Autoencoder, model_file
from backend.embedders.devices import choose_device, choose_precision
from backend.errors import ConfigurationError, ImageError
from backend.files import replace_file
from backend.images.decode import Size
from backend.images.decoder_pool import Decoded
from backend.lab.training.autoencoder_curves import Curves
from backend.lab.training.autoencoder_pictures import (
    layer_picture,
    reconstruction_sheet,
    to_colours,
)
from backend.lab.training.autoencoder_run import (
    LAYERS,
    RECONSTRUCTIONS,
    WEIGHTS,
    AutoencoderRecipe,
    Epoch,
    Run,
    TrainingImages,
    begin_or_resume,
    save_card,
    save_checkpoint,
)

OpenPictures: TypeAlias = Callable[[Sequence[str | None], Size], Iterator[Decoded | ImageError]]
"""Opens pictures by their URIs: each as RGB of (height, width), or its error, in order."""

Report: TypeAlias = Callable[[int, int], None]
"""Is told how many pictures were shown to the network, of how many in all epochs."""

SHOWN: Final = 8
"""Pictures of a reconstruction sheet."""


def train(
    folder: Path,
    recipe: AutoencoderRecipe,
    *,
    epochs: int,
    draw: Callable[[], TrainingImages],
    open_images: OpenPictures,
    compute: Compute,
    report: Report,
) -> Run:
    """Train for `epochs` in all, going on from the folder's checkpoint if it has one.

    `draw` is asked for the pictures of a new run. The folder then holds the weights, their card,
    curves, the layers' maps, and a sheet of reconstructions for each epoch. A picture that cannot
    be decoded is left out. Raises ConfigurationError and WeightsUnavailable as `begin_or_resume`.
    """
    run = begin_or_resume(folder, recipe, draw)
    trainer = Trainer(run, open_images=open_images, compute=compute)
    with Curves(folder, steps=run.steps) as curves:
        for number in range(len(run.epochs), epochs):
            epoch, losses = trainer.pass_over(number, _shifted(report, run, number, epochs))
            run.epochs.append(epoch)
            run.model, run.optimizer = trainer.state()
            save_checkpoint(folder, run)
            curves.add(epoch, losses)
            trainer.draw_reconstructions(folder / RECONSTRUCTIONS.format(epoch=number + 1))
    trainer.finish(folder)
    return run


def _shifted(report: Report, run: Run, number: int, epochs: int) -> Callable[[int], None]:
    """Return a report of epoch `number` alone that reports on all epochs."""
    pictures = len(run.pictures.training)
    return lambda done: report(number * pictures + done, epochs * pictures)


class Trainer:
    """The network of a run, and what moves its weights."""

    def __init__(self, run: Run, *, open_images: OpenPictures, compute: Compute) -> None:
        """Draw the network by the recipe's seed, or take over the run's."""
        self._run = run
        self._open = open_images
        self._device = choose_device(compute.device)
        precision = choose_precision(compute.precision, self._device)
        if self._device.type == "cpu" and compute.threads:
            torch.set_num_threads(compute.threads)
        self._autocast = torch.autocast(
            self._device.type, torch.bfloat16, enabled=precision == "bf16"
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(run.recipe.seed)
            model = Autoencoder(run.recipe.dimensions)
        self.model = model.to(self._device).to(memory_format=torch.channels_last)
        self._optimizer = torch.optim.Adam(self.model.parameters(), lr=run.recipe.learning_rate)
        if run.epochs:
            self.model.load_state_dict(run.model)
            self._optimizer.load_state_dict(dict(run.optimizer))

    def state(self) -> tuple[dict[str, Tensor], dict[str, object]]:
        """Return the state dicts of the network and the optimiser."""
        return self.model.state_dict(), self._optimizer.state_dict()

    def pass_over(
        self, number: int, report: Callable[[int], None]
    ) -> tuple[Epoch, Sequence[float]]:
        """Train on every picture once, in the order of epoch `number`; also return batch losses.

        Raises ConfigurationError if none of them can be decoded.
        """
        started = time.monotonic()
        uris = self._run.pictures.training
        order = np.random.default_rng([self._run.recipe.seed, number]).permutation(len(uris))
        self.model.train()
        losses, sizes = [], []
        for batch in self._batches([uris[position] for position in order]):
            losses.append(self._step(batch))
            sizes.append(len(batch))
            report(sum(sizes))
        seconds = time.monotonic() - started
        if not sizes:
            raise ConfigurationError("none of the pictures can be decoded")
        seen = torch.stack(losses).double().cpu().numpy()  # once: on a GPU, reading waits for it
        epoch = Epoch(
            loss=float(np.average(seen, weights=sizes)),
            held_out_loss=self._held_out_loss(),
            pictures=sum(sizes),
            steps=len(sizes),
            seconds=seconds,
        )
        return epoch, seen.tolist()

    def _step(self, batch: Sequence[Image]) -> Tensor:
        colours = to_colours(batch, self._device)
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
        total = pictures = 0.0
        for batch in self._batches(self._run.pictures.held_out):
            colours = to_colours(batch, self._device)
            with self._autocast:
                decoded = self.model(colours)
            total += float(mse_loss(decoded.float(), colours)) * len(batch)
            pictures += len(batch)
        return total / pictures if pictures else None

    def _batches(self, uris: Sequence[str]) -> Iterator[list[Image]]:
        opened = self._open(uris, INPUT_SIZE)
        images = (one.image for one in opened if isinstance(one, Decoded))
        while batch := list(islice(images, self._run.recipe.batch_size)):
            yield batch

    def _examples(self) -> list[Image]:
        """Open the first few pictures that the network was not trained on, if there are any."""
        uris = self._run.pictures.held_out or self._run.pictures.training
        opened = self._open(uris[:SHOWN], INPUT_SIZE)
        return [one.image for one in opened if isinstance(one, Decoded)]

    def draw_reconstructions(self, path: Path) -> None:
        """Write a sheet of pictures and what the network makes of them."""
        if examples := self._examples():
            reconstruction_sheet(self.model, examples).save(path, optimize=True)

    def finish(self, folder: Path) -> None:
        """Write the weights to embed with, their card, and the layers' maps of one picture."""
        held = model_file(self.model, self._run.card())
        replace_file(folder / WEIGHTS, lambda path: torch.save(held, path))
        save_card(folder, self._run)
        if examples := self._examples():
            layer_picture(self.model, examples[0]).save(folder / LAYERS, optimize=True)
