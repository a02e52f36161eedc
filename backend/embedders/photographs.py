"""Tell a person's photograph from a catalogue image, and find where a shop shows such a thing.

A photograph taken at home is far from all images of a shop, since whitening makes much of what only
one of the two has. So a photograph's vector is moved towards the mean of the shop's products of its
class. A small linear head, learnt on photographs by private persons and on a catalogue, tells
classes; which products of a shop belong to a class is told by the same head.
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
from backend.embedders.kept_features import KIND, LOOK
from backend.embedders.pixels import Pixels, normalise
from backend.errors import WeightsUnavailable

HEAD: Final = Path(__file__).parent / "data" / "lookalike-blocks-photographs.npz"

CLASSES: Final = 10
"""Classes of clothes; the head has two more outputs: any other thing, and whether it is a
photograph."""

LOOK_SCALE: Final = 4.0  # of the look beside the kind, in the input of the head
SHARPNESS: Final = 8.0  # of the softmax over the head's outputs

PLAIN_BORDER: Final = 0.8
"""The least share of a catalogue image's border that has the colour of its median, within
NEAR_COLOUR levels of each channel. Of 12,000 catalogue images 2.9% and 1.0% have less (the head
leaves 0% and 1.0%), of the photographs 97%."""
NEAR_COLOUR: Final = 16

SAMPLED: Final = slice(2, None, 4)  # rows and columns that are looked at


@dataclass(frozen=True, kw_only=True)
class PhotographHead:
    """Tells photographs and classes from kept features."""

    weights: npt.NDArray[np.float16]  # (look + kind + 1, CLASSES + 2); the last row is the bias

    def are_photographs(self, pixels: Pixels, features: FloatArray) -> npt.NDArray[np.bool_]:
        """Tell which images (n, height, width, 3), with their features, are photographs."""
        looks_taken = self._outputs(features)[:, CLASSES + 1] > 0
        return np.asarray(has_many_colours(pixels) & looks_taken, np.bool_)

    def shares(self, features: FloatArray) -> FloatArray:
        """Return the share of each class, and of other things: (n, CLASSES + 1), sums 1."""
        outputs = self._outputs(features)[:, : CLASSES + 1]
        powers = np.exp(SHARPNESS * (outputs - outputs.max(axis=1, keepdims=True)))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)

    def class_looks(
        self, features: FloatArray, looks: FloatArray, types: npt.NDArray[np.intp]
    ) -> npt.NDArray[np.float16]:
        """Return the mean look of a shop's products of each class, (CLASSES, size).

        All products of a type belong to the class of which they have the largest shares together; a
        product without a type (-1) belongs to the one it has most of. `types` (n,) has numbers,
        `looks` (n, size) those of the shop's map. A class without products has zeros.
        """
        shares = self.shares(features)
        votes = np.zeros((types.max(initial=-1) + 1, shares.shape[1]), np.float32)
        np.add.at(votes, types[types >= 0], shares[types >= 0])
        classes = shares.argmax(axis=1)
        classes[types >= 0] = votes.argmax(axis=1)[types[types >= 0]]
        means = np.zeros((CLASSES, looks.shape[1]), np.float32)
        for number in np.unique(classes[classes < CLASSES]):
            means[number] = normalise(looks[classes == number].mean(axis=0, keepdims=True))[0]
        return means.astype(np.float16)

    def _outputs(self, features: FloatArray) -> FloatArray:
        weights = self.weights.astype(np.float32)
        inputs = np.hstack([LOOK_SCALE * normalise(features[:, LOOK]), features[:, KIND]])
        return np.asarray(inputs @ weights[:-1] + weights[-1], np.float32)


def has_many_colours(pixels: Pixels) -> npt.NDArray[np.bool_]:
    """Tell which images (n, height, width, 3) have a border of many colours: (n,).

    Few catalogue images have one: PLAIN_BORDER says how many.
    """
    return np.asarray(plain_borders(pixels) < PLAIN_BORDER, np.bool_)


def plain_borders(pixels: Pixels) -> FloatArray:
    """Return the share of each image's border that has the colour of its median, (n,)."""
    small = pixels[:, SAMPLED, SAMPLED].astype(np.float32)
    sides = (small[:, 0], small[:, -1], small[:, :, 0], small[:, :, -1])
    border = np.concatenate(sides, axis=1)
    far = np.abs(border - np.median(border, axis=1, keepdims=True)).max(axis=2)
    return np.asarray((far <= NEAR_COLOUR).mean(axis=1), np.float32)


@cache
def shipped_head() -> PhotographHead:
    """Return the head that ships with the embedder. Raises WeightsUnavailable."""
    try:
        with archives.opened(HEAD) as file:
            return PhotographHead(weights=file["weights"])
    except UNREADABLE as error:
        raise WeightsUnavailable(f"no usable head in {HEAD}: {error}") from None
