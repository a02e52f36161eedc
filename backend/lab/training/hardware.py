"""The device and the precision of a training."""

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
    """A device, and the precision of maps on it. Weights that learn are float32."""

    device: torch.device
    precision: str  # bf16 or fp32

    @classmethod
    def of(cls, compute: Compute) -> Hardware:
        """Choose device and precision as embedders do; set the threads of a CPU."""
        device = choose_device(compute.device)
        if device.type == "cpu" and compute.threads:
            torch.set_num_threads(compute.threads)
        return cls(device, choose_precision(compute.precision, device))

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of maps."""
        return torch.bfloat16 if self.precision == "bf16" else torch.float32

    def place(self, module: Module) -> Module:
        """Move a module to the device, its convolutions channels last."""
        return module.to(self.device).to(memory_format=torch.channels_last)
