"""The curves of an autoencoder's run, for TensorBoard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from backend.lab.training.autoencoder_run import Epoch
from backend.lab.training.tensorboard import open_writer


class Curves:
    """Writes beside the checkpoint; the optimiser's steps are the one axis of all curves."""

    def __init__(self, folder: Path, *, steps: int) -> None:
        """Go on after `steps`: what an interrupted run drew beyond its checkpoint is dropped."""
        self._steps = steps
        self._writer = open_writer(folder, purge_step=steps)

    def add(self, epoch: Epoch, batch_losses: Sequence[float]) -> None:
        """Draw one epoch, and each of its batches."""
        start, self._steps = self._steps, self._steps + epoch.steps
        if self._writer is None:
            return
        for step, loss in enumerate(batch_losses, start):
            self._writer.add_scalar("loss/batch", loss, step)
        last = self._steps - 1
        self._writer.add_scalar("loss/epoch", epoch.loss, last)
        self._writer.add_scalar("pictures a second", epoch.pictures / epoch.seconds, last)
        if epoch.held_out_loss is not None:
            self._writer.add_scalar("loss/held out", epoch.held_out_loss, last)
        self._writer.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._writer:
            self._writer.close()
