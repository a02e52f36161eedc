"""Curves for TensorBoard; without the extra `train` none are written."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FOLDER: Final = "curves"


def can_write_curves() -> bool:
    """Return whether TensorBoard's writer is installed."""
    return find_spec("tensorboard") is not None


def open_writer(run: Path, *, purge_step: int) -> SummaryWriter | None:
    """Open a run's curves, without the points from `purge_step` on; None without TensorBoard."""
    if not can_write_curves():
        return None
    from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415

    return SummaryWriter(str(run / FOLDER), purge_step=purge_step)
