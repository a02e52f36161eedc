"""Tuned networks: `tuned?weights=FILE` from `lookalike train finetune`, and the shipped one."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import numpy as np
import torch
from PIL.Image import Image
from torch import fx

from backend.embedders import Block, Compute, FloatArray, register
from backend.embedders.backbones import Backbone, load_backbone
from backend.embedders.batch_norms import fold_batch_norms
from backend.embedders.checkpoint import Checkpoint
from backend.embedders.fingerprints import fingerprint
from backend.embedders.fusion import SHARPNESS, fuse
from backend.embedders.network import Network
from backend.embedders.pixels import normalise, to_pixels
from backend.embedders.split_network import StemWithTails
from backend.embedders.tracing import cut_at_last_map
from backend.errors import UnknownEmbedder, WeightsUnavailable

SHIPPED: Final = Path(__file__).parent / "data" / "lookalike-fashion.npz"


@register("tuned")
def load_tuned(variant: str, *, compute: Compute, weights: str, start: str = "") -> TunedEmbedder:
    """Load a checkpoint from the file `weights`.

    `start` is the weight of the features that the backbone had before tuning, by default that of
    the checkpoint. 0 leaves them out, which saves a fifth of the time.
    """
    if variant:
        raise UnknownEmbedder(f"tuned has no variant {variant!r}: use tuned?weights=FILE")
    return _load(Path(weights), f"tuned?weights={quote(weights, safe='/')}", start, compute)


@register("lookalike-fashion")
def load_shipped(variant: str, *, compute: Compute, start: str = "") -> TunedEmbedder:
    """Load the shipped network, tuned on fashion products; `start` as in `load_tuned`."""
    if variant:
        raise UnknownEmbedder(f"lookalike-fashion has no variant {variant!r}")
    return _load(SHIPPED, "lookalike-fashion", start, compute)


def _load(path: Path, name: str, start: str, compute: Compute) -> TunedEmbedder:
    checkpoint = Checkpoint.load(path)
    weight = checkpoint.start_weight if start == "" else _weight(start)
    separator = "&" if "?" in name else "?"
    spelled = f"{name}{separator}start={weight:g}"
    return TunedEmbedder(checkpoint, name=spelled, start_weight=weight, compute=compute)


def _weight(start: str) -> float:
    try:
        weight = float(start)
    except ValueError:
        weight = -1
    if not 0 <= weight <= 10:
        raise UnknownEmbedder(f"start={start}: a number from 0 to 10 is wanted")
    return weight


class TunedEmbedder:
    """Embeds an image by a tuned tail and its head, and by the features from before tuning."""

    blocks: tuple[Block, ...] = ()  # the lengths of its parts vary with the confidence

    def __init__(
        self, checkpoint: Checkpoint, *, name: str, start_weight: float, compute: Compute
    ) -> None:
        self.name = name
        backbone = load_backbone(checkpoint.backbone, input_size=checkpoint.input_size)
        self.input_size = checkpoint.input_size
        self._start_weight = start_weight
        self._directions = checkpoint.directions.astype(np.float32)
        self._blocks = _blocks(checkpoint, with_start=start_weight > 0)
        graph = _join_tails(backbone, checkpoint, tails=len(self._blocks))
        self.size = sum(len(block.components) for block in self._blocks)
        self.fingerprint = self._fingerprint(backbone, graph)
        self._network = Network(
            graph,
            mean=backbone.preprocessing.mean,
            std=backbone.preprocessing.std,
            pool="avg",
            compute=compute,
            bf16_from=f"stem.{backbone.bf16_from}".rstrip("."),
        )
        self.batch_size = self._network.call_size

    @property
    def precision(self) -> str:
        """The precision that the network runs in: bf16 or fp32."""
        return self._network.precision

    def embed(self, images: Sequence[Image]) -> FloatArray:
        """Embed RGB images of any size: (n, size) float32, L2-normalised, in input order."""
        pooled = self._network(to_pixels(images, self.input_size))
        pooled_parts = np.split(pooled, len(self._blocks), axis=1)
        blocks = zip(self._blocks, pooled_parts, strict=True)
        tuned, *start = (block.project(part) for block, part in blocks)
        if not start:
            return tuned
        return fuse(tuned, *start, directions=self._directions, weight=self._start_weight)

    def _fingerprint(self, backbone: Backbone, graph: fx.GraphModule) -> str:
        recipe = {
            "preprocessing": vars(backbone.preprocessing),
            "resampling": "bicubic",
            "pool": "avg",
            "start_weight": self._start_weight,
            "sharpness": SHARPNESS,
            "network": type(backbone.model).__name__,
        }
        arrays = {name: tensor.cpu().numpy() for name, tensor in graph.state_dict().items()}
        for position, block in enumerate(self._blocks):
            arrays[f"block.{position}.bias"] = block.bias
            arrays[f"block.{position}.components"] = block.components
        arrays["directions"] = self._directions
        return fingerprint(recipe, arrays)


@dataclass(frozen=True, kw_only=True)
class _Block:
    """A part of the vector: the projection of one tail's pooled features."""

    components: FloatArray  # (size, channels)
    bias: FloatArray  # (size,)
    normalise_first: bool  # before the projection, too

    def project(self, pooled: FloatArray) -> FloatArray:
        features = normalise(pooled) if self.normalise_first else pooled
        return normalise(features @ self.components.T + self.bias)


def _blocks(checkpoint: Checkpoint, *, with_start: bool) -> list[_Block]:
    head = checkpoint.head.astype(np.float32)
    bias = checkpoint.head_bias.astype(np.float32)
    tuned = _Block(components=head, bias=bias, normalise_first=False)
    if not with_start:
        return [tuned]
    components = checkpoint.components.astype(np.float32)
    centre = -components @ checkpoint.mean.astype(np.float32)
    start = _Block(components=components, bias=centre, normalise_first=True)
    return [tuned, start]


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
