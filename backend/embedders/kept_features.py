"""What `lookalike-blocks` keeps of an image: enough to make its vector again by other statistics.

960 numbers, 1,920 bytes in float16: the look (768), the kind (128) and the colours (64). Those of
`kept_rows` follow them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from backend.embedders import FloatArray, archives
from backend.embedders.archives import UNREADABLE
from backend.embedders.checkpoint import Checkpoint
from backend.embedders.foreground_colours import RECIPE, foreground_colours
from backend.embedders.fusion import confidence
from backend.embedders.pixels import Pixels, normalise
from backend.errors import WeightsUnavailable

LAST, TEXTURES = 1280, 112
"""Channels of the network's last map, and of the stage whose textures are pooled."""

MEANS_SHARE, TEXTURES_SHARE = 0.7, 0.5
"""Weights beside the maxima, which have 1, chosen on a shop that nothing was fitted on."""

LOOK, KIND, COLOUR = slice(0, 768), slice(768, 896), slice(896, 960)
SIZE: Final = 960

PARTS: Final = ("look", "kind", "colour")


def stack_look(pooled: FloatArray) -> FloatArray:
    """Join maxima, means and textures, each as square roots of length 1: (n, 2672)."""
    maxima, means = pooled[:, :LAST], pooled[:, LAST : 2 * LAST]
    textures = pooled[:, 2 * LAST : 2 * LAST + TEXTURES]
    shares = ((maxima, 1.0), (means, MEANS_SHARE), (textures, TEXTURES_SHARE))
    return np.hstack([share * normalise(root(each)) for each, share in shares], dtype=np.float32)


def judge_kind(pooled: FloatArray, checkpoint: Checkpoint) -> FloatArray:
    """Return the tuned part, (n, 256), whose length is its confidence, from 0 to 1."""
    tail = pooled[:, 2 * LAST + TEXTURES :]
    head, bias = (each.astype(np.float32) for each in (checkpoint.head, checkpoint.head_bias))
    tuned = normalise(tail @ head.T + bias)
    return tuned * confidence(tuned, checkpoint.directions.astype(np.float32))


def root(values: FloatArray) -> FloatArray:
    """Return the square roots of absolute values, with their signs: of the same shape."""
    return np.sign(values) * np.sqrt(np.abs(values))


@dataclass(frozen=True, kw_only=True)
class KeptFeatures:
    """The projections that make the features small: of `look`, `kind` and `colour`."""

    means: dict[str, npt.NDArray[np.float16]]  # part -> (inputs,)
    components: dict[str, npt.NDArray[np.float16]]  # part -> (size, inputs)

    @property
    def arrays(self) -> dict[str, npt.NDArray[np.float16]]:
        """All that decides the features beside the network, for the fingerprint and the file."""
        means = {f"{part}.mean": self.means[part] for part in PARTS}
        return means | {f"{part}.components": self.components[part] for part in PARTS}

    @classmethod
    def load(cls, path: Path) -> KeptFeatures:
        """Read the shipped file. Raises WeightsUnavailable."""
        try:
            with archives.opened(path) as file:
                means = {part: file[f"{part}.mean"] for part in PARTS}
                components = {part: file[f"{part}.components"] for part in PARTS}
        except UNREADABLE as error:
            raise WeightsUnavailable(f"no usable statistics in {path}: {error}") from None
        return cls(means=means, components=components)

    def reduce(self, pooled: FloatArray, pixels: Pixels, checkpoint: Checkpoint) -> FloatArray:
        """Return the features of images, (n, SIZE), rounded as they are stored."""
        inputs = {
            "look": stack_look(pooled),
            "kind": judge_kind(pooled, checkpoint),
            "colour": foreground_colours(pixels),
        }
        reduced = np.hstack([self._project(part, inputs[part]) for part in PARTS])
        return reduced.astype(np.float16).astype(np.float32)

    def _project(self, part: str, values: FloatArray) -> FloatArray:
        mean, components = self._in_float32[part]
        return np.asarray((values - mean) @ components.T, np.float32)

    @cached_property
    def _in_float32(self) -> dict[str, tuple[FloatArray, FloatArray]]:
        """Mean and components of each part: converting them takes as long as using them."""
        return {
            part: (self.means[part].astype(np.float32), self.components[part].astype(np.float32))
            for part in PARTS
        }


COLOUR_RECIPE: Final = RECIPE
"""The constants of the colours, for the fingerprint."""
