"""Whether this host may have a GPU that torch can use, told without importing torch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

DEVICES: Final = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/kfd", "/dev/nvhost-gpu")
"""Device files of NVIDIA, of WSL, of AMD and of Jetson."""


def may_have_gpu() -> bool:
    """Tell whether torch should be asked for a GPU; it decides."""
    return sys.platform == "darwin" or any(Path(device).exists() for device in DEVICES)
