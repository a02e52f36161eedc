"""Trace a tuned network: its backbone's stem, the tuned tail and, if wanted, the backbone's own."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from torch import fx

from backend.embedders.backbones import Backbone, load_backbone
from backend.embedders.batch_norms import fold_batch_norms
from backend.embedders.checkpoint import Checkpoint
from backend.embedders.fingerprints import fingerprint
from backend.embedders.fusion import SHARPNESS
from backend.embedders.split_network import StemWithTails
from backend.embedders.traced import TracedNetwork
from backend.embedders.tracing import cut_at_last_map
from backend.embedders.tuned import Projection, projections_of
from backend.errors import WeightsUnavailable


def make(*, path: str, start_weight: float) -> TracedNetwork:
    """Trace the network of a checkpoint for `tuned.TunedEmbedder`."""
    checkpoint = Checkpoint.load(Path(path))
    backbone = load_backbone(checkpoint.backbone, input_size=checkpoint.input_size)
    projections = projections_of(checkpoint, with_start=start_weight > 0)
    graph = _join_tails(backbone, checkpoint, tails=len(projections))
    return TracedNetwork(
        graph=graph,
        fingerprint=_fingerprint(checkpoint, backbone, graph, projections, start_weight),
        mean=backbone.preprocessing.mean,
        std=backbone.preprocessing.std,
        pool="avg",
        input_size=checkpoint.input_size,
        bf16_from=f"stem.{backbone.bf16_from}" if backbone.bf16_from else "",
    )


def _fingerprint(
    checkpoint: Checkpoint,
    backbone: Backbone,
    graph: fx.GraphModule,
    projections: Sequence[Projection],
    start_weight: float,
) -> str:
    recipe = {
        "preprocessing": vars(backbone.preprocessing),
        "resampling": "bicubic",
        "pool": "avg",
        "start_weight": start_weight,
        "sharpness": SHARPNESS,
        "network": type(backbone.model).__name__,
    }
    arrays = {name: tensor.cpu().numpy() for name, tensor in graph.state_dict().items()}
    for position, each in enumerate(projections):
        arrays[f"block.{position}.bias"] = each.bias
        arrays[f"block.{position}.components"] = each.components
    arrays["directions"] = checkpoint.directions.astype(np.float32)
    return fingerprint(recipe, arrays)


def _join_tails(backbone: Backbone, checkpoint: Checkpoint, *, tails: int) -> fx.GraphModule:
    """Return the stem with the tuned tail and, if `tails` is 2, the backbone's own."""
    stem, own = backbone.split(checkpoint.tune_from)
    fold_batch_norms(own)
    tuned = deepcopy(own)
    state = {name: torch.from_numpy(array) for name, array in checkpoint.tail.items()}
    try:
        tuned.load_state_dict(state)
    except RuntimeError as error:
        raise WeightsUnavailable(
            f"the checkpoint does not fit {checkpoint.backbone}: {error}"
        ) from None
    return cut_at_last_map(StemWithTails(stem, [tuned, own][:tails]), checkpoint.input_size)
