"""Run a traced convolutional network by torch: pixels -> the pooled features of its last map."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import torch
from torch import Tensor, fx

from backend.embedders import Compute, FloatArray
from backend.embedders.batch_norms import fold_batch_norms
from backend.embedders.bf16 import cast_to_bf16
from backend.embedders.cuda_transfer import CopyStream, StartTransfer, keep_on_cpu, prefetch
from backend.embedders.devices import choose_device, choose_precision
from backend.embedders.engines import Pool
from backend.embedders.padding import fold_padding
from backend.embedders.pixels import Pixels
from backend.embedders.tracing import last_map_shape

BATCH_SIZES: Final = {"cpu": 8, "mps": 64, "cuda": 128}  # 8: then the maps fit into a CPU's cache
SMALLEST_CALL: Final = 32
"""Fewest images of one call: with fewer, the work around it, such as a transaction, costs more."""


class Network:
    """A network without its classifier, ready to run. Safe to call from several threads."""

    def __init__(
        self,
        graph: fx.GraphModule,
        *,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        pool: Pool,
        compute: Compute,
        bf16_from: str = "",
    ) -> None:
        """Take `graph`, from `trace` or `cut_at_last_map`, and change it in place.

        It expects (RGB - mean) / std, all from 0 to 255. In bf16, the layers before the one whose
        name begins with `bf16_from` still compute in fp32.
        """
        channels, height, width = last_map_shape(graph)
        self.size = channels * height * width if pool == "none" else channels
        self._device = choose_device(compute.device)
        self.precision = choose_precision(compute.precision, self._device)
        self.batch_size = compute.batch_size or BATCH_SIZES.get(self._device.type, 8)
        self.call_size = compute.batch_size or max(SMALLEST_CALL, self.batch_size)
        self._start_transfer: StartTransfer = keep_on_cpu
        if self._device.type == "cpu" and compute.threads:
            torch.set_num_threads(compute.threads)
        if self._device.type == "cuda":
            self.call_size = 2 * self.batch_size  # one is copied while the other is computed
            self._start_transfer = CopyStream(self._device)
        fold_batch_norms(graph)
        fold_padding(graph)
        if self.precision == "bf16":
            cast_to_bf16(graph, start=bf16_from)
        self._graph = graph.to(self._device).to(memory_format=torch.channels_last)
        self._mean = torch.tensor(mean, device=self._device).reshape(1, 3, 1, 1)
        self._std = torch.tensor(std, device=self._device).reshape(1, 3, 1, 1)
        self._pool = pool

    def __call__(self, pixels: Pixels) -> FloatArray:
        """Return the pooled features, (n, size) float32, not normalised.

        The next batch is copied to a GPU while it computes one. A batch that does not fit into its
        memory is halved, and so are those that follow.
        """
        done = [np.empty((0, self.size), np.float32)]
        for batch in prefetch(self._batches(pixels), self._start_transfer):
            done += self._computed(batch)
        return np.concatenate(done)

    def _batches(self, pixels: Pixels) -> Iterator[Pixels]:
        start = 0
        while start < len(pixels):
            batch = pixels[start : start + self.batch_size]
            start += len(batch)
            yield batch

    def _computed(self, batch: Tensor) -> list[FloatArray]:
        """Compute a batch; halve it, repeatedly, while a GPU's memory is too small for it."""
        try:
            return [self._forward(batch)]
        except torch.OutOfMemoryError:
            if len(batch) == 1:
                raise
        # Not in the handler: the error keeps what was computed so far in memory.
        half = len(batch) // 2
        self.batch_size = min(self.batch_size, half)
        torch.cuda.empty_cache()
        return self._computed(batch[:half]) + self._computed(batch[half:])

    @torch.inference_mode()
    def _forward(self, batch: Tensor) -> FloatArray:
        colours = batch.to(self._device).permute(0, 3, 1, 2).float()  # channels_last already
        maps = self._graph((colours - self._mean) / self._std).float()
        return np.asarray(pooled(maps, self._pool).cpu().numpy(), np.float32)


def pooled(maps: Tensor, pool: Pool) -> Tensor:
    """Pool the maps (n, channels, height, width) of each image to (n, features)."""
    if pool == "none":
        return maps.flatten(1)
    return maps.mean(dim=(2, 3)) if pool == "avg" else maps.amax(dim=(2, 3))
