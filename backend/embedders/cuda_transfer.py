"""Copy batches to a GPU, each while the one before is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import torch
from torch import Tensor

from backend.embedders.pixels import Pixels

FinishTransfer: TypeAlias = Callable[[], Tensor]
"""Returns the batch on its device; what is enqueued afterwards runs after the copy."""

StartTransfer: TypeAlias = Callable[[Pixels], FinishTransfer]
"""Starts to copy a batch to its device."""


def prefetch(batches: Iterable[Pixels], send: StartTransfer) -> Iterator[Tensor]:
    """Yield each batch on its device, (n, height, width, 3) uint8.

    The copy of the next one is started before.
    """
    before: FinishTransfer | None = None
    for batch in batches:
        sent = send(batch)
        if before:
            yield before()
        before = sent
    if before:
        yield before()


def keep_on_cpu(batch: Pixels) -> FinishTransfer:
    """Copy nothing: the batch is used where it is."""
    return lambda: torch.from_numpy(batch)


class CopyStream:
    """A second stream of a GPU, which copies from pinned memory while the first one computes."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def __call__(self, batch: Pixels) -> FinishTransfer:
        """Start a copy. Only the computing stream waits for its end; this thread does not."""
        pinned = torch.from_numpy(batch).pin_memory()
        with torch.cuda.stream(self._stream):
            sent = pinned.to(self._device, non_blocking=True)
            copied = self._stream.record_event()

        def finish() -> Tensor:
            computing = torch.cuda.current_stream(self._device)
            computing.wait_event(copied)
            # The copying stream has allocated it. Without this, its memory could be used for the
            # batch after next while this one is still computed.
            sent.record_stream(computing)
            return sent

        return finish
