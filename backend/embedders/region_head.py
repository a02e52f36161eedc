"""The layers that find regions and their masks, on maps that a network computes anyway. Torch."""

from __future__ import annotations

from pathlib import Path

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

    def forward(self, early: Tensor, textures: Tensor, last: Tensor, tuned: Tensor) -> Tensor:
        """Return what `regions` reads: (n, OUTPUTS * ROWS * COLUMNS + mask)."""
        cells, mask = self.judge(early, textures, last, tuned)
        return torch.cat([cells.flatten(1), mask.flatten(1)], dim=1)

    def judge(
        self, early: Tensor, textures: Tensor, last: Tensor, tuned: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return cells (n, OUTPUTS, ROWS, COLUMNS), and the mask (n, 1, …), both as logits."""
        deep = functional.relu(self.deep(torch.cat([last, tuned], dim=1)))
        deep = deep + functional.relu(self.context(deep))
        cells = functional.relu(self.textures(textures) + _double(deep)[:, :, :ROWS, :COLUMNS])
        cells = cells + functional.relu(self.middle(cells))
        below = _double(self.down(cells))[:, :, :FINE_ROWS, :FINE_COLUMNS]
        fine = functional.relu(self.early(early) + below)
        fine = fine + functional.relu(self.fine(fine))
        return self.out(cells), self.mask(fine)


def load_head(path: Path) -> RegionHead:
    """Load the layers from a file of `save_head`. Raises WeightsUnavailable."""
    head = RegionHead()
    try:
        with archives.opened(path) as file:
            state = {name: torch.from_numpy(file[name].astype(np.float32)) for name in file.files}
        head.load_state_dict(state)
    except (*UNREADABLE, RuntimeError) as error:
        raise WeightsUnavailable(f"no usable layers in {path}: {error}") from None
    return head.eval()


def save_head(head: RegionHead, path: Path) -> None:
    """Write the layers in float16."""
    state = {name: each.detach().numpy().astype(np.float16) for name, each in _named(head)}
    np.savez_compressed(path, allow_pickle=False, **state)


def _named(head: RegionHead) -> list[tuple[str, Tensor]]:
    return list(head.state_dict().items())


def _double(maps: Tensor) -> Tensor:
    return functional.interpolate(maps, scale_factor=2.0, mode="nearest")
