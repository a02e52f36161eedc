"""Read tensors that somebody trained, without trusting the file."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final

import torch

from backend.errors import WeightsUnavailable

UNREADABLE: Final = (  # what torch raises for a file that is something else
    OSError,
    RuntimeError,
    EOFError,
    UnpicklingError,
    LookupError,
    ValueError,
)


def read_tensors(path: Path) -> Any:
    """Return what `torch.save` wrote, on the CPU: tensors and plain values, never code.

    Raises WeightsUnavailable for a file that is missing or holds anything else.
    """
    try:
        return torch.load(path, weights_only=True, map_location="cpu")
    except UNREADABLE as error:
        raise WeightsUnavailable(f"{path} is not a readable state dict: {error!r}") from None
