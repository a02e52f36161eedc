"""Choose where a network computes, and in which precision."""

from __future__ import annotations

import torch

from backend.embedders.processors import is_fast_in_bf16


def choose_device(device: str) -> torch.device:
    """Return the device of that name; for `auto` a GPU if there is one."""
    if device != "auto":
        return torch.device(device)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def choose_precision(precision: str, device: torch.device) -> str:
    """Return bf16 or fp32; for `auto` bf16 where the device computes in it."""
    if precision != "auto":
        return precision
    return "bf16" if _is_fast_in_bf16(device) else "fp32"


def _is_fast_in_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)  # older ones emulate it
    return device.type == "cpu" and is_fast_in_bf16()
