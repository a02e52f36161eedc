"""The curves of an autoencoder's run, for TensorBoard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from backend.lab.training.autoencoder_run import Epoch
from backend.lab.training.tensorboard import open_writer


class Curves:
    """Writes the curves beside the checkpoint. Their x axis counts steps of the optimizer."""

    def __init__(self, folder: Path, *, steps: int) -> None:
        """Continue after `steps`; drop what a killed run wrote after its checkpoint."""
        self._steps = steps
        self._writer = open_writer(folder, purge_step=steps)

    def add(self, epoch: Epoch, batch_losses: Sequence[float]) -> None:
        """Add the points of one epoch and of each of its batches."""
        start, self._steps = self._steps, self._steps + epoch.steps
        if self._writer is None:
            return
        for step, loss in enumerate(batch_losses, start):
            self._writer.add_scalar("loss/batch", loss, step)
        last = self._steps - 1
        self._writer.add_scalar("loss/epoch", epoch.loss, last)
        self._writer.add_scalar("images a second", epoch.images / epoch.seconds, last)
        if epoch.held_out_loss is not None:
            self._writer.add_scalar("loss/held out", epoch.held_out_loss, last)
        self._writer.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._writer:
            self._writer.close()
