"""What the processors of this host can do, and how many of them this process may use."""

from __future__ import annotations

import os
from math import ceil
from pathlib import Path
from typing import Final

FAST_BF16: Final = ("avx512_bf16", "amx_bf16")  # flags of /proc/cpuinfo
QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")  # of a container: microseconds in each period


def is_fast_in_bf16() -> bool:
    """Tell whether the processors have instructions for bf16."""
    try:
        described = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return any(flag in described for flag in FAST_BF16)


def usable_processors() -> int:
    """Return how many processors this process may keep busy, at least one.

    A container's quota counts, of which the engines' own thread pools know nothing.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(allowed or 1, _quota()))


def _quota() -> int:
    try:
        microseconds, period = QUOTA.read_text().split()
        return ceil(int(microseconds) / int(period))
    except (OSError, ValueError):  # no cgroup, or no limit: `max`
        return os.cpu_count() or 1
