"""The parts of an image that show a thing somebody may mean.

The layers of `region_head` judge, in the pass that embeds an image, how much each cell is the
middle of a thing, where its edges are and what it is. They judge, too, how much each point of a
finer grid belongs to any thing, and to one that was pasted on the image. Here these numbers become
regions, and the mask of what a region shows; no torch.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

import numpy as np

from backend.embedders import FloatArray

ROWS, COLUMNS = 14, 11
STRIDE = 16  # pixels of the network's input between two cells
FINE_ROWS, FINE_COLUMNS = 28, 21
KINDS: Final = (
    *("dress", "hat", "long-sleeve", "outerwear", "trousers", "shirt", "shoes", "shorts"),
    *("skirt", "t-shirt", "other"),
)
OUTPUTS: Final = 5 + len(KINDS)  # of a cell: middle, distances of four edges, kinds
CELLS: Final = OUTPUTS * ROWS * COLUMNS
POINTS: Final = FINE_ROWS * FINE_COLUMNS
THINGS: Final = slice(CELLS, CELLS + POINTS)  # the mask of all things
PASTED: Final = slice(THINGS.stop, THINGS.stop + POINTS)  # the mask of what was pasted
ANY_PASTED: Final = PASTED.stop  # whether anything was pasted; all of these are logits
SIZE: Final = ANY_PASTED + 1

LEAST_SCORE: Final = 0.5
MOST: Final = 5
SAME: Final = 0.6  # overlap of boxes that are averaged
OVERLAP: Final = 0.4  # of a box with a better one, as intersection over union: then it is dropped
WITHIN: Final = 0.55  # share of the smaller box that lies in the other one: then it is dropped
"""Chosen on composites that were not trained on."""

Frame: TypeAlias = tuple[float, float, float, float]
"""Left, top, right, bottom, as fractions of the image's width and height."""


class FoundRegion(NamedTuple):
    """A part of an image that shows a thing."""

    box: Frame
    confidence: float  # from 0 to 1
    kind: str  # one of KINDS


def find_regions(values: FloatArray, input_size: tuple[int, int]) -> list[FoundRegion]:
    """Return the regions of one image, the surest first, from numbers (SIZE,)."""
    cells = values[:CELLS].reshape(OUTPUTS, ROWS * COLUMNS)
    scores, boxes = _sigmoid(cells[0]), _boxes(cells[1:5], input_size)
    found: list[FoundRegion] = []
    is_left = scores >= LEAST_SCORE
    for best in np.argsort(-scores, kind="stable"):
        if not is_left[best] or len(found) == MOST:
            continue
        same, inside = _overlaps(boxes[best], boxes)
        weights = np.where((same > SAME) & (scores > LEAST_SCORE / 2), scores**2, 0)
        weights /= weights.sum()
        left, top, right, bottom = (round(float(edge), 4) for edge in weights @ boxes)
        kind = KINDS[int((cells[5:] @ weights).argmax())]
        found.append(FoundRegion((left, top, right, bottom), float(scores[best]), kind))
        is_left &= (same <= OVERLAP) & (inside <= WITHIN)
    return found


def is_pasted(values: FloatArray) -> bool:
    """Tell whether something was pasted on an image, from numbers (SIZE,)."""
    return bool(values[ANY_PASTED] > 0)


def pasted_first(regions: list[FoundRegion], values: FloatArray) -> list[FoundRegion]:
    """Return regions, those first that are sure and show what was pasted, from numbers (SIZE,)."""
    shares = _sigmoid(values[PASTED]).reshape(FINE_ROWS, FINE_COLUMNS)

    def rank(region: FoundRegion) -> float:
        left, top, right, bottom = region.box
        rows = slice(int(top * FINE_ROWS), max(1, round(bottom * FINE_ROWS)))
        columns = slice(int(left * FINE_COLUMNS), max(1, round(right * FINE_COLUMNS)))
        inside = shares[rows, columns]
        return region.confidence * float(inside.mean()) if inside.size else 0.0

    return sorted(regions, key=rank, reverse=True)


def mask_of(values: FloatArray) -> FloatArray:
    """Return how much each point belongs to the thing, from numbers (SIZE,).

    The mask (FINE_ROWS, FINE_COLUMNS) holds logits: the mean of both masks.
    """
    both = (values[THINGS] + values[PASTED]) / 2
    return np.asarray(both.reshape(FINE_ROWS, FINE_COLUMNS), np.float32)


def _boxes(distances: FloatArray, input_size: tuple[int, int]) -> FloatArray:
    """Return the boxes that the cells judge, (cells, 4), within the image."""
    height, width = input_size
    y, x = np.divmod(np.arange(ROWS * COLUMNS), COLUMNS)
    across, down = (STRIDE * (x + 0.5)) / width, (STRIDE * (y + 0.5)) / height
    left, top, right, bottom = _sigmoid(distances)
    edges = np.stack([across - left, down - top, across + right, down + bottom], axis=1)
    return edges.clip(0, 1).astype(np.float32)


def _overlaps(box: FloatArray, others: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the intersections of a box with others: by their union, and by the smaller one."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = (high - low).clip(0).prod(axis=1)
    own, areas = (box[2:] - box[:2]).prod(), (others[:, 2:] - others[:, :2]).prod(axis=1)
    tiny = np.finfo(np.float32).tiny
    union = np.maximum(own + areas - shared, tiny)
    return shared / union, shared / np.maximum(np.minimum(own, areas), tiny)


def _sigmoid(values: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-values.clip(-30, 30))), np.float32)
