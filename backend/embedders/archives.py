"""Reading NumPy's archives (.npz) of weights: what is raised for one that is not whole."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile

import numpy as np

UNREADABLE: Final = (OSError, EOFError, KeyError, ValueError, BadZipFile, zlib.error)
"""For a file that is missing, empty, cut off, spoilt, or of another kind, or lacks an array."""


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open an archive. Raises one of UNREADABLE.

    `numpy.load` by itself leaves the file open where it is no archive.
    """
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        yield arrays
