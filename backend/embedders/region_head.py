"""The layers that judge maps which a network computes anyway: regions, masks, and what is pasted.

Torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from backend.embedders import archives
from backend.embedders.archives import UNREADABLE
from backend.embedders.regions import COLUMNS, FINE_COLUMNS, FINE_ROWS, OUTPUTS, ROWS
from backend.errors import WeightsUnavailable

EARLY, TEXTURES, LAST = 40, 112, 1280
"""Channels of the maps: at a stride of 8, of 16, and of 32, the last one twice."""

WIDTH, FINE_WIDTH = 48, 32
PASTED_WIDTH, DECIDING = 32, 16
LEAST_WEIGHT = 0.01  # of all points, beside the weights of a mean


class RegionHead(nn.Module):
    """Finds things (centre, box, class) at a stride of 16, and their mask at a stride of 8."""

    def __init__(self) -> None:
        super().__init__()
        self.deep = nn.Conv2d(2 * LAST, WIDTH, 1)
        self.context = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.textures = nn.Conv2d(TEXTURES, WIDTH, 1)
        self.middle = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.out = nn.Conv2d(WIDTH, OUTPUTS, 1)
        self.down = nn.Conv2d(WIDTH, FINE_WIDTH, 1)
        self.early = nn.Conv2d(EARLY, FINE_WIDTH, 1)
        self.fine = nn.Conv2d(FINE_WIDTH, FINE_WIDTH, 3, padding=1)
        self.mask = nn.Conv2d(FINE_WIDTH, 1, 1)

    def judge(
        self, early: Tensor, textures: Tensor, last: Tensor, tuned: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return cells (n, OUTPUTS, ROWS, COLUMNS), and the mask (n, 1, …), both as logits."""
        return self.read(*self.describe(early, textures, last, tuned))

    def read(self, cells: Tensor, fine: Tensor) -> tuple[Tensor, Tensor]:
        """Return what `judge` returns, in the same shapes, of what `describe` returns."""
        return self.out(cells), self.mask(fine)

    def describe(
        self, early: Tensor, textures: Tensor, last: Tensor, tuned: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return maps (n, WIDTH, ROWS, COLUMNS) and (n, FINE_WIDTH, FINE_ROWS, FINE_COLUMNS)."""
        deep = functional.relu(self.deep(torch.cat([last, tuned], dim=1)))
        deep = deep + functional.relu(self.context(deep))
        cells = functional.relu(self.textures(textures) + _double(deep)[:, :, :ROWS, :COLUMNS])
        cells = cells + functional.relu(self.middle(cells))
        below = _double(self.down(cells))[:, :, :FINE_ROWS, :FINE_COLUMNS]
        fine = functional.relu(self.early(early) + below)
        return cells, fine + functional.relu(self.fine(fine))


class PastedHead(nn.Module):
    """Tells what was pasted on an image, and whether anything was."""

    def __init__(self) -> None:
        super().__init__()
        width = PASTED_WIDTH
        self.coarse = nn.Conv2d(TEXTURES + WIDTH, width, 1)
        self.around = nn.Conv2d(width, width, 3, padding=1)
        self.down = nn.Conv2d(width, width, 1)
        self.edges = nn.Conv2d(EARLY + FINE_WIDTH, width, 1)
        self.near = nn.Conv2d(width, width, 3, padding=1)
        self.far = nn.Conv2d(width, width, 3, padding=2, dilation=2)
        self.mask = nn.Conv2d(width, 1, 1)
        self.weigh = nn.Linear(6 * width + 2, DECIDING)
        self.any = nn.Linear(DECIDING, 1)

    def forward(
        self, early: Tensor, textures: Tensor, cells: Tensor, fine: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the mask (n, 1, FINE_ROWS, FINE_COLUMNS) and one number (n, 1), as logits."""
        coarse = functional.relu(self.coarse(torch.cat([textures, cells], dim=1)))
        coarse = coarse + functional.relu(self.around(coarse))
        below = _double(self.down(coarse))[:, :, :FINE_ROWS, :FINE_COLUMNS]
        edges = functional.relu(self.edges(torch.cat([early, fine], dim=1)) + below)
        edges = edges + functional.relu(self.near(edges))
        edges = edges + functional.relu(self.far(edges))
        mask = self.mask(edges)
        pooled = torch.cat([coarse.mean(dim=(2, 3)), *_compared(edges, mask)], dim=1)
        return mask, self.any(functional.relu(self.weigh(pooled)))


def _compared(maps: Tensor, mask: Tensor) -> list[Tensor]:
    """Return maxima and means of maps, means inside a mask, around it and at its edge.

    The maximum of the mask and its share follow. The mask (n, 1, rows, columns) holds logits.
    """
    share = torch.sigmoid(mask)
    weights = share, 1 - share, 4 * share * (1 - share)
    means = [
        (maps * each).mean(dim=(2, 3)) / (each.mean(dim=(2, 3)) + LEAST_WEIGHT) for each in weights
    ]
    pooled = maps.amax(dim=(2, 3)), maps.mean(dim=(2, 3))
    return [*pooled, *means, mask.amax(dim=(2, 3)), share.mean(dim=(2, 3))]


class MapJudge(nn.Module):
    """Regions and what is pasted, in one pass."""

    def __init__(self, regions: RegionHead, pasted: PastedHead) -> None:
        super().__init__()
        self.regions, self.pasted = regions, pasted

    def forward(self, early: Tensor, textures: Tensor, last: Tensor, tuned: Tensor) -> Tensor:
        """Return what `regions.py` reads, (n, SIZE)."""
        cells, fine = self.regions.describe(early, textures, last, tuned)
        judged = *self.regions.read(cells, fine), *self.pasted(early, textures, cells, fine)
        return torch.cat([each.flatten(1) for each in judged], dim=1)


Layers = TypeVar("Layers", RegionHead, PastedHead)


def load_layers(layers: Layers, path: Path) -> Layers:
    """Fill layers from a file of `save_layers`. Raises WeightsUnavailable."""
    try:
        with archives.opened(path) as file:
            state = {name: torch.from_numpy(file[name].astype(np.float32)) for name in file.files}
        layers.load_state_dict(state)
    except (*UNREADABLE, RuntimeError) as error:
        raise WeightsUnavailable(f"no usable layers in {path}: {error}") from None
    return layers.eval()


def save_layers(layers: nn.Module, path: Path) -> None:
    """Write layers in float16."""
    state = {
        name: each.detach().numpy().astype(np.float16) for name, each in layers.state_dict().items()
    }
    np.savez_compressed(path, allow_pickle=False, **state)


def _double(maps: Tensor) -> Tensor:
    return functional.interpolate(maps, scale_factor=2.0, mode="nearest")
