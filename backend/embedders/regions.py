"""The parts of an image that show a thing somebody may mean.

The layers of `region_head` judge, in the pass that embeds an image, how much each cell is the
middle of a thing, where its edges are and what it is. They judge, too, how much each point of a
finer grid belongs to any thing, and to one that was pasted on the image. Here these numbers become
regions, and the mask of what a region shows; no torch.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

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

DOUBT: Final = -1.0  # logit above which it is in doubt whether anything was pasted
SAME_THING: Final = 0.3  # overlap of a region and of what was pasted: then the region has all of it
PASTED_WEIGHT: Final = 0.75  # of the mask of what was pasted beside that of all things
"""Chosen on a simulated street of other articles than those that the figures are of."""

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


def may_be_pasted(values: FloatArray) -> bool:
    """Tell whether a part of an image shall be looked at, too, to decide that; numbers (SIZE,)."""
    return bool(values[ANY_PASTED] > DOUBT)


def pasted_first(regions: list[FoundRegion], values: FloatArray) -> list[FoundRegion]:
    """Return regions, those first that are sure and show what was pasted, from numbers (SIZE,).

    The first one is made larger where more of the largest pasted piece lies around it.
    """
    shares = _sigmoid(values[PASTED]).reshape(FINE_ROWS, FINE_COLUMNS)

    def rank(region: FoundRegion) -> float:
        left, top, right, bottom = region.box
        rows = slice(int(top * FINE_ROWS), max(1, round(bottom * FINE_ROWS)))
        columns = slice(int(left * FINE_COLUMNS), max(1, round(right * FINE_COLUMNS)))
        inside = shares[rows, columns]
        return region.confidence * float(inside.mean()) if inside.size else 0.0

    ranked, piece = sorted(regions, key=rank, reverse=True), largest_piece(shares > 0.5)
    return [_with_all_of(piece, region) for region in ranked[:1]] + ranked[1:]


def largest_piece(points: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return those of some points (rows, columns) that are joined to the most others."""
    numbers = np.where(points, np.arange(1, points.size + 1).reshape(points.shape), 0)
    while True:
        grown = numbers.copy()
        for here, beside in ((grown, numbers), (grown.T, numbers.T)):
            np.maximum(here[1:], beside[:-1], out=here[1:])
            np.maximum(here[:-1], beside[1:], out=here[:-1])
        grown[~points] = 0
        if np.array_equal(grown, numbers):
            break
        numbers = grown
    counts = np.bincount(numbers.ravel())
    counts[0] = 0
    return np.asarray((numbers == counts.argmax()) & points, np.bool_)


def mask_of(values: FloatArray) -> FloatArray:
    """Return how much each point belongs to the thing, from numbers (SIZE,).

    The mask (FINE_ROWS, FINE_COLUMNS) holds logits: the weighted mean of both masks.
    """
    both = PASTED_WEIGHT * values[PASTED] + (1 - PASTED_WEIGHT) * values[THINGS]
    return np.asarray(both.reshape(FINE_ROWS, FINE_COLUMNS), np.float32)


def _with_all_of(piece: npt.NDArray[np.bool_], region: FoundRegion) -> FoundRegion:
    """Return a region that holds a piece of the fine grid, if both show the same thing."""
    if not piece.any():
        return region
    rows, columns = np.flatnonzero(piece.any(axis=1)), np.flatnonzero(piece.any(axis=0))
    low = np.array([columns[0] / FINE_COLUMNS, rows[0] / FINE_ROWS], np.float32)
    high = np.array([(columns[-1] + 1) / FINE_COLUMNS, (rows[-1] + 1) / FINE_ROWS], np.float32)
    own = np.asarray(region.box, np.float32)
    same, _ = _overlaps(own, np.concatenate([low, high])[None])
    if same[0] <= SAME_THING:
        return region
    edges = np.concatenate([np.minimum(own[:2], low), np.maximum(own[2:], high)])
    left, top, right, bottom = (round(float(edge), 4) for edge in edges)
    return region._replace(box=(left, top, right, bottom))


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
