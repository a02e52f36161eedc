"""Holes in the files of a shard: on a disk in memory (tmpfs) they take room when they are read.

The engine makes its files longer than what they hold, and reads them as a whole while it opens a
shard. On ext4 and its like a hole that is read takes no room. On tmpfs it takes a page, and where
there is none the kernel ends the whole process (SIGBUS).
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from backend.errors import IndexFull

MOUNTS: Final = Path("/proc/self/mountinfo")  # see proc_pid_mountinfo(5)
SPARE: Final = 2**20
"""Bytes that opening may take besides: the engine rewrites small files."""


def check_holes(folder: Path) -> None:
    """Raise IndexFull where opening this shard would end the process."""
    if not _is_in_memory(folder):
        return
    needed, free = _holes(folder) + SPARE, shutil.disk_usage(folder).free
    if free < needed:
        raise IndexFull(
            f"the disk of the embedded index is full: {free >> 20} MiB are free, and opening it "
            f"takes {needed >> 20} MiB, since this disk is a part of the memory (tmpfs)"
        )


def _is_in_memory(folder: Path) -> bool:
    device = folder.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        mounts = [line.split() for line in MOUNTS.read_text().splitlines()]
    except OSError:  # not Linux: there is no tmpfs
        return False
    return any(it[2] == number and it[it.index("-") + 1] == "tmpfs" for it in mounts)


def _holes(folder: Path) -> int:
    """Return the bytes that the files claim to have and do not take."""
    found = [path.stat() for path in folder.rglob("*") if path.is_file()]
    return sum(max(0, it.st_size - 512 * it.st_blocks) for it in found)
