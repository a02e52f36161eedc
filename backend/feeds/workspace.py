"""Temporary files of feeds. What a killed process left is removed by the next one that looks.

Each run has a folder with a lock, which its process holds: the lock ends with the process.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Final

LOCK: Final = ".lock"


@contextmanager
def temporary_folder(root: Path) -> Iterator[Path]:
    """Make a folder below `root` for the block, and remove it afterwards."""
    remove_leftovers(root)
    folder = root / secrets.token_hex(8)
    draft = folder.with_name(f".{folder.name}")
    draft.mkdir(parents=True, mode=0o700)
    handle = os.open(draft / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        flock(handle, LOCK_EX)
        draft.rename(folder)  # others see it only with its lock held
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def remove_leftovers(root: Path) -> int:
    """Remove the folders whose process has ended; return how many."""
    if not root.is_dir():
        return 0
    return sum(_remove_if_left(folder) for folder in root.glob("[!.]*"))


def _remove_if_left(folder: Path) -> bool:
    try:
        handle = os.open(folder / LOCK, os.O_RDWR)
    except OSError:  # it is just being made or removed
        return False
    try:
        flock(handle, LOCK_EX | LOCK_NB)
    except OSError:
        return False
    else:
        shutil.rmtree(folder, ignore_errors=True)
        return True
    finally:
        os.close(handle)
