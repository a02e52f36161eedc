"""Tell images that were pasted together from those that a camera or a catalogue made.

Such an image says little as a whole, so one of its regions is compared. A linear function of what
the network pools tells them: it was learnt on products pasted on photographs, and on photographs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from backend.embedders import FloatArray, archives
from backend.embedders.archives import UNREADABLE
from backend.embedders.photographs import has_many_colours
from backend.embedders.pixels import Pixels
from backend.errors import WeightsUnavailable

WEIGHTS: Final = Path(__file__).parent / "data" / "lookalike-blocks-composed.npz"


@dataclass(frozen=True, kw_only=True)
class ComposedHead:
    """Tells composed images from what the network pools of them."""

    weights: npt.NDArray[np.float32]  # (pooled numbers + 1,); the last one is the bias

    def are_composed(self, pixels: Pixels, pooled: FloatArray) -> npt.NDArray[np.bool_]:
        """Tell which images (n, height, width, 3), with pooled numbers (n, …), are composed."""
        outputs = roots(pooled) @ self.weights[:-1] + self.weights[-1]
        return np.asarray(has_many_colours(pixels) & (outputs > 0), np.bool_)

    def save(self, path: Path) -> None:
        """Write the weights."""
        np.savez_compressed(path, allow_pickle=False, weights=self.weights)


def roots(pooled: FloatArray) -> FloatArray:
    """Return the square roots of pooled numbers, so that few large ones do not decide alone."""
    return np.asarray(np.sqrt(np.maximum(pooled, 0)), np.float32)


@cache
def shipped_composed_head() -> ComposedHead:
    """Return the head that ships with the embedder. Raises WeightsUnavailable."""
    try:
        with archives.opened(WEIGHTS) as file:
            return ComposedHead(weights=file["weights"])
    except UNREADABLE as error:
        raise WeightsUnavailable(f"no usable head in {WEIGHTS}: {error}") from None
