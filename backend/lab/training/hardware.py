"""What training runs on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn

from backend.embedders import Compute
from backend.embedders.devices import choose_device, choose_precision

Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class Hardware:
    """A device, and the precision that maps have on it; weights are float32 while they learn."""

    device: torch.device
    precision: str  # bf16 or fp32

    @classmethod
    def of(cls, compute: Compute) -> Hardware:
        """Choose as embedders do."""
        device = choose_device(compute.device)
        if device.type == "cpu" and compute.threads:
            torch.set_num_threads(compute.threads)
        return cls(device, choose_precision(compute.precision, device))

    @property
    def dtype(self) -> torch.dtype:
        """The type of the maps."""
        return torch.bfloat16 if self.precision == "bf16" else torch.float32

    def place(self, module: Module) -> Module:
        """Put a module there, its convolutions channels last."""
        return module.to(self.device).to(memory_format=torch.channels_last)
