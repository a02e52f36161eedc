"""Trace one network that returns all that `lookalike-blocks` is made of, in one pass."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from backend.embedders.backbones import Backbone, load_backbone
from backend.embedders.batch_norms import fold_batch_norms
from backend.embedders.checkpoint import Checkpoint
from backend.embedders.fingerprints import fingerprint
from backend.embedders.region_head import MapJudge, PastedHead, RegionHead, load_layers
from backend.embedders.split_network import also_output, split_before
from backend.embedders.traced import TracedNetwork
from backend.embedders.tracing import trace

TEXTURES_END: Final = "blocks.5"
"""The stage before this one sees textures: it is pooled, too."""

EDGES_END: Final = "blocks.3"
"""The stage before this one sees edges at a stride of 8: masks of regions are drawn along them."""


class StackedPools(nn.Module):
    """A stem, the middle and end of the backbone's own tail, and a tuned tail; all pooled.

    The stem returns two maps, the one at EDGES_END and its last one. `regions` judges all maps.
    """

    def __init__(
        self,
        stem: nn.Module,
        middle: nn.Module,
        end: nn.Module,
        tuned: nn.Module,
        *,
        regions: nn.Module,
    ):
        super().__init__()
        self.stem, self.middle, self.end, self.tuned = stem, middle, end, tuned
        self.regions = regions

    def forward(self, pixels: Tensor) -> Tensor:
        """Return (n, channels, 1, 1): maxima and means of the end, means of middle and tuned.

        What `regions` returns follows them, and then the maxima of each row of the end's map,
        channel by channel.
        """
        edges, shared = self.stem(pixels)
        textures = self.middle(shared)
        last, tuned = self.end(textures), self.tuned(shared)
        maxima = last.amax(dim=(2, 3), keepdim=True)
        means = [maps.mean(dim=(2, 3), keepdim=True) for maps in (last, textures, tuned)]
        judged = self.regions(edges, textures, last, tuned)[:, :, None, None]
        rows = last.amax(dim=3).flatten(1)[:, :, None, None]
        return torch.cat([maxima, *means, judged, rows], dim=1)


def make(*, path: str, regions: str, pasted: str) -> TracedNetwork:
    """Trace the network of a checkpoint whose backbone is `efficientnet-lite0`.

    `regions` is the file of the layers that find regions, `pasted` that of those that tell what is
    pasted. They change no vector, so the fingerprint leaves them out.
    """
    checkpoint = Checkpoint.load(Path(path))
    backbone = load_backbone(checkpoint.backbone, input_size=checkpoint.input_size)
    judge = MapJudge(
        load_layers(RegionHead(), Path(regions)), load_layers(PastedHead(), Path(pasted))
    )
    graph = trace(stack(checkpoint, backbone, judge), checkpoint.input_size)
    recipe = {"preprocessing": vars(backbone.preprocessing), "resampling": "bicubic"}
    state = graph.state_dict()
    arrays = {name: state[name].cpu().numpy() for name in state if not name.startswith("regions.")}
    return TracedNetwork(
        graph=graph,
        fingerprint=fingerprint(recipe, arrays),
        mean=backbone.preprocessing.mean,
        std=backbone.preprocessing.std,
        pool="avg",  # of a single value
        input_size=checkpoint.input_size,
        bf16_from=f"stem.{backbone.bf16_from}",
    )


def stack(checkpoint: Checkpoint, backbone: Backbone, regions: nn.Module) -> StackedPools:
    """Join the parts of a backbone, the tuned tail of a checkpoint, and what judges their maps."""
    stem, own = backbone.split(checkpoint.tune_from)
    fold_batch_norms(own)
    tuned = deepcopy(own)
    tuned.load_state_dict({name: torch.from_numpy(a) for name, a in checkpoint.tail.items()})
    middle, end = split_before(own, TEXTURES_END)
    also_output(stem, EDGES_END)
    return StackedPools(stem, middle, end, tuned, regions=regions)
