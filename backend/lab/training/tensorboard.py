"""Where a run's curves go for TensorBoard: nowhere without the extra `train`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FOLDER: Final = "curves"


def can_draw() -> bool:
    """Tell whether TensorBoard's writer is installed."""
    return find_spec("tensorboard") is not None


def open_writer(run: Path, *, purge_step: int) -> SummaryWriter | None:
    """Open a run's curves, dropping what was drawn from a step on; None without TensorBoard."""
    if not can_draw():
        return None
    from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415

    return SummaryWriter(str(run / FOLDER), purge_step=purge_step)
