"""Choose where a network computes, and in which precision."""

from __future__ import annotations

import torch

from backend.embedders.processors import is_fast_in_bf16
from backend.errors import ConfigurationError


def choose_device(device: str) -> torch.device:
    """Return the device of that name; for `auto` a GPU if there is one.

    Raises ConfigurationError for one that torch does not find here.
    """
    if device != "auto":
        return _named(torch.device(device))
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _named(device: torch.device) -> torch.device:
    if device.type == "cuda":
        found = torch.cuda.device_count()
        is_there = (device.index or 0) < found
    else:
        found = int(torch.backends.mps.is_available())
        is_there = device.type != "mps" or bool(found)
    if not is_there:
        raise ConfigurationError(
            f"LOOKALIKE_DEVICE={device}: torch finds {found} GPUs of this kind here; install the "
            "driver, give the container its GPU, or set LOOKALIKE_DEVICE=auto"
        )
    return device


def choose_precision(precision: str, device: torch.device) -> str:
    """Return bf16 or fp32; for `auto` bf16 where the device computes in it."""
    if precision != "auto":
        return precision
    return "bf16" if _is_fast_in_bf16(device) else "fp32"


def _is_fast_in_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)  # older ones emulate it
    return device.type == "cpu" and is_fast_in_bf16()
