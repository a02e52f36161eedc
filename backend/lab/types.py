"""The types of arrays and callables that the lab's modules pass to each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL.Image import Image

from backend.errors import ImageError
from backend.images.decode import Size
from backend.images.decoder_pool import Decoded

Positions: TypeAlias = npt.NDArray[np.int64]
"""Positions in a list of products, or in a list of categories."""

Mask: TypeAlias = npt.NDArray[np.bool_]
Floats: TypeAlias = npt.NDArray[np.float64]

Report: TypeAlias = Callable[[int, int], None]
"""Receives the progress of a long task: how many are done, and of how many."""

Watch: TypeAlias = Callable[[str], AbstractContextManager[Report]]
"""Shows the progress of a long task under a title, for as long as the context is open."""

OpenImages: TypeAlias = Callable[[Sequence[str | None], Size], Iterator[Decoded | ImageError]]
"""Opens images by their URIs: each as RGB of (height, width), or its error, in order."""

OpenImage: TypeAlias = Callable[[str, tuple[int, int]], Image | None]
"""Opens an image by its URI, fitted into (width, height); None if it cannot be opened."""
