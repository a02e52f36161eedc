"""Bring batches to where they are computed: to a GPU, each while the one before is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import torch
from torch import Tensor

from backend.embedders.pixels import Pixels

Arrival: TypeAlias = Callable[[], Tensor]
"""Returns a batch on its device, when the work that follows may be enqueued."""

Send: TypeAlias = Callable[[Pixels], Arrival]
"""Starts to bring a batch to its device."""


def in_turn(batches: Iterable[Pixels], send: Send) -> Iterator[Tensor]:
    """Yield each batch on its device; before one is handed out, the next one is on its way."""
    before: Arrival | None = None
    for batch in batches:
        sent = send(batch)
        if before:
            yield before()
        before = sent
    if before:
        yield before()


def stay(batch: Pixels) -> Arrival:
    """Leave a batch in the CPU's memory."""
    return lambda: torch.from_numpy(batch)


class CopyStream:
    """A GPU's second stream, which copies from pinned memory while the first one computes."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def __call__(self, batch: Pixels) -> Arrival:
        """Start a copy. Its arrival makes the computing stream wait for it, and nobody else."""
        pinned = torch.from_numpy(batch).pin_memory()
        with torch.cuda.stream(self._stream):
            sent = pinned.to(self._device, non_blocking=True)
            copied = self._stream.record_event()

        def arrive() -> Tensor:
            computing = torch.cuda.current_stream(self._device)
            computing.wait_event(copied)
            # It was allocated on the copy's stream, which might otherwise have its memory back,
            # for the batch after next, while this one is still computed.
            sent.record_stream(computing)
            return sent

        return arrive
