"""What the layers that find regions are judged by while they learn.

The middle of each thing is found as in FCOS (https://arxiv.org/abs/1904.01355): cells in the inner
half of a box are its middle, those around it do not count. On a composite whose ground is a whole
photograph, only the boxes count, since the photograph shows a thing, too. Of a photograph alone,
whose ground is not plain, only the kind is known, and that its middle belongs to the thing and its
border does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import torch
from torch import Tensor
from torch.nn import functional

from backend.embedders.regions import COLUMNS, ROWS, STRIDE
from backend.lab.training.composites import ALONE, MASK, WHOLE, Composites

INNER: Final = 0.25  # half of the share of a box that is its middle
HEIGHT, WIDTH = ROWS * STRIDE, 168
SURE: Final = (slice(20, 36), slice(14, 28))  # points of a photograph that belong to its thing
WEAK: Final = 0.3  # weight of points of photographs
KIND_WEIGHT, ALONE_WEIGHT, MASK_WEIGHT = 0.3, 0.2, 2.0


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What is known of images, one row each."""

    boxes: Tensor  # (n, most, 5)
    grounds: Tensor  # (n,)
    kinds: Tensor  # (n,)
    masks: Tensor  # (n, *MASK)
    mask_weights: Tensor  # (n, *MASK)

    @classmethod
    def of_composites(cls, made: Composites) -> Self:
        """Return what is known of composites."""
        boxes, grounds = torch.from_numpy(made.boxes), torch.from_numpy(made.grounds)
        masks = torch.from_numpy(made.masks).float()
        weights = torch.where(_rows(grounds == WHOLE), _in_boxes(boxes), torch.ones_like(masks))
        border = torch.zeros(MASK)
        border[0] = border[-1] = border[:, 0] = border[:, -1] = WEAK
        border[SURE] = WEAK
        sure = torch.zeros(MASK)
        sure[SURE] = 1
        is_alone = _rows(grounds == ALONE)
        return cls(
            boxes=boxes,
            grounds=grounds,
            kinds=torch.from_numpy(made.kinds).long(),
            masks=torch.where(is_alone, sure, masks),
            mask_weights=torch.where(is_alone, border, weights),
        )

    def of(self, rows: Tensor) -> Targets:
        """Return those of some images, by their numbers (any,)."""
        return Targets(**{name: values[rows] for name, values in vars(self).items()})


def loss(cells: Tensor, mask: Tensor, known: Targets) -> Tensor:
    """Return the loss of what `RegionHead.judge` returned: one number.

    `cells` (n, OUTPUTS, ROWS, COLUMNS) and `mask` (n, 1, rows, columns) are logits.
    """
    owner = _owners(known.boxes)
    is_middle = owner >= 0
    n, y, x = is_middle.nonzero(as_tuple=True)
    boxes = known.boxes[n, owner[n, y, x]]
    found = cells[n, :, y, x]
    value = _middle_loss(cells[:, 0], is_middle, _counted(owner, known.grounds))
    if len(boxes):
        value = value + _box_loss(_boxes(found[:, 1:5], x, y), boxes[:, :4]).mean()
        value = value + KIND_WEIGHT * functional.cross_entropy(found[:, 5:], boxes[:, 4].long())
    is_alone = known.grounds == ALONE
    if is_alone.any():
        value = value + ALONE_WEIGHT * _alone_loss(cells[is_alone], known.kinds[is_alone])
    return value + MASK_WEIGHT * _mask_loss(mask, known)


def _counted(owner: Tensor, grounds: Tensor) -> Tensor:
    """Return which cells count: not those around a middle, nor those of unknown things."""
    is_unknown = _rows(grounds == WHOLE) & (owner == -1) | _rows(grounds == ALONE)
    return ~is_unknown & (owner != -2)


def _middle_loss(logits: Tensor, is_middle: Tensor, counted: Tensor) -> Tensor:
    """Return the focal loss (https://arxiv.org/abs/1708.02002)."""
    each = functional.binary_cross_entropy_with_logits(logits, is_middle.float(), reduction="none")
    share = torch.sigmoid(logits)
    hard = torch.where(is_middle, (1 - share) ** 2, 0.7 * share**2)
    return (each * hard * counted).sum() / is_middle.sum().clamp(min=1)


def _box_loss(found: Tensor, boxes: Tensor) -> Tensor:
    """Return 1 - the generalised intersection over union (https://arxiv.org/abs/1902.09630)."""
    low, high = torch.maximum(found[:, :2], boxes[:, :2]), torch.minimum(found[:, 2:], boxes[:, 2:])
    shared = (high - low).clamp(min=0).prod(dim=1)
    areas = [(each[:, 2:] - each[:, :2]).prod(dim=1) for each in (found, boxes)]
    union = (areas[0] + areas[1] - shared).clamp(min=1e-6)
    low, high = torch.minimum(found[:, :2], boxes[:, :2]), torch.maximum(found[:, 2:], boxes[:, 2:])
    hull = (high - low).prod(dim=1).clamp(min=1e-6)
    return 1 - shared / union + (hull - union) / hull


def _alone_loss(cells: Tensor, kinds: Tensor) -> Tensor:
    """Return what is wrong with photographs: the surest cell inside has to be of the right kind."""
    inside = cells[:, :, 3:11, 2:9].flatten(2)
    surest, at = inside[:, 0].max(dim=1)
    judged = inside[torch.arange(len(cells)), 5:, at]
    return functional.softplus(-surest).mean() + functional.cross_entropy(judged, kinds)


def _mask_loss(mask: Tensor, known: Targets) -> Tensor:
    larger = functional.interpolate(mask, MASK, mode="bilinear", align_corners=False)[:, 0]
    each = functional.binary_cross_entropy_with_logits(larger, known.masks, reduction="none")
    return (each * known.mask_weights).sum() / known.mask_weights.sum()


def _boxes(distances: Tensor, x: Tensor, y: Tensor) -> Tensor:
    middle = torch.stack([(x + 0.5) * STRIDE / WIDTH, (y + 0.5) * STRIDE / HEIGHT], dim=1)
    edges = torch.sigmoid(distances)
    return torch.cat([middle - edges[:, :2], middle + edges[:, 2:]], dim=1)


def _owners(boxes: Tensor) -> Tensor:
    """Return the smallest box whose middle a cell is, (n, ROWS, COLUMNS); -1: none; -2: around."""
    x = (torch.arange(COLUMNS) + 0.5) * STRIDE / WIDTH
    y = (torch.arange(ROWS)[:, None] + 0.5) * STRIDE / HEIGHT
    owner = torch.full((len(boxes), ROWS, COLUMNS), -1)
    smallest = torch.full(owner.shape, torch.inf)
    for number, box in enumerate(boxes.unbind(dim=1)):
        left, top, right, bottom, kind = (each[:, None, None] for each in box.unbind(dim=1))
        across, down = (x - (left + right) / 2).abs(), (y - (top + bottom) / 2).abs()
        width, height = right - left, bottom - top
        is_inside = (across < width / 2) & (down < height / 2) & (kind >= 0)
        near_x = across < (INNER * width).clamp(min=0.506 * STRIDE / WIDTH)
        near_y = down < (INNER * height).clamp(min=0.506 * STRIDE / HEIGHT)
        is_middle = near_x & near_y & (kind >= 0)
        owner[is_inside & (owner == -1)] = -2
        area = (width * height).expand(owner.shape)
        takes = is_middle & (area < smallest)
        owner[takes], smallest = number, torch.where(takes, area, smallest)
    return owner


def _in_boxes(boxes: Tensor) -> Tensor:
    y = ((torch.arange(MASK[0]) + 0.5) / MASK[0])[:, None]
    x = (torch.arange(MASK[1]) + 0.5) / MASK[1]
    inside = torch.zeros(len(boxes), *MASK)
    for box in boxes.unbind(dim=1):
        left, top, right, bottom, kind = (each[:, None, None] for each in box.unbind(dim=1))
        inside[(x > left) & (x < right) & (y > top) & (y < bottom) & (kind >= 0)] = 1
    return inside


def _rows(values: Tensor) -> Tensor:
    return values[:, None, None]
