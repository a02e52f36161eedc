"""Tuned networks: `tuned?weights=FILE` from `lookalike train finetune`, and the shipped one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, quote

import numpy as np
from PIL.Image import Image

from backend.embedders import Block, Compute, FloatArray, register
from backend.embedders.checkpoint import Checkpoint
from backend.embedders.efficientnet_lite import weights_file
from backend.embedders.engines import NetworkPlan, open_network
from backend.embedders.fusion import fuse
from backend.embedders.numpy_threads import on_one_thread
from backend.embedders.pixels import normalise, to_pixels
from backend.errors import UnknownEmbedder

SHIPPED: Final = Path(__file__).parent / "data" / "lookalike-fashion.npz"


@register("tuned")
def load_tuned(variant: str, *, compute: Compute, weights: str, start: str = "") -> TunedEmbedder:
    """Load a checkpoint from the file `weights`.

    `start` is the weight of the features that the backbone had before tuning, by default that of
    the checkpoint. 0 leaves them out, which saves a fifth of the time. Raises UnknownEmbedder for
    a variant or a weight beyond 0 to 10, and WeightsUnavailable.
    """
    if variant:
        raise UnknownEmbedder(f"tuned has no variant {variant!r}: use tuned?weights=FILE")
    return _load(Path(weights), f"tuned?weights={quote(weights, safe='/')}", start, compute)


@register("lookalike-fashion")
def load_shipped(variant: str, *, compute: Compute, start: str = "") -> TunedEmbedder:
    """Load the shipped network, tuned on fashion products: options and errors of `load_tuned`."""
    if variant:
        raise UnknownEmbedder(f"lookalike-fashion has no variant {variant!r}")
    return _load(SHIPPED, "lookalike-fashion", start, compute)


def _load(path: Path, name: str, start: str, compute: Compute) -> TunedEmbedder:
    checkpoint = Checkpoint.load(path)
    weight = checkpoint.start_weight if start == "" else _weight(start)
    separator = "&" if "?" in name else "?"
    spelled = f"{name}{separator}start={weight:g}"
    plan = NetworkPlan(
        maker="backend.embedders.tuned_tracing:make",
        options={"path": str(path), "start_weight": weight},
        files=(path, *files_of_backbone(checkpoint.backbone)),
    )
    return TunedEmbedder(checkpoint, plan, name=spelled, start_weight=weight, compute=compute)


def files_of_backbone(spec: str) -> tuple[Path, ...]:
    """Return the files of weights that the spec of a backbone names."""
    weights = Path(dict(parse_qsl(spec.partition("?")[2])).get("weights", ""))
    return (weights_file(), *([weights] if weights.is_file() else []))


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
        self,
        checkpoint: Checkpoint,
        plan: NetworkPlan,
        *,
        name: str,
        start_weight: float,
        compute: Compute,
    ) -> None:
        self.name = name
        self._start_weight = start_weight
        self._directions = checkpoint.directions.astype(np.float32)
        self._projections = projections_of(checkpoint, with_start=start_weight > 0)
        self.size = sum(len(each.components) for each in self._projections)
        opened = open_network(plan, compute)
        self._network = opened.run
        self.fingerprint = opened.fingerprint
        self.input_size = opened.input_size
        self.batch_size = self._network.call_size

    @property
    def precision(self) -> str:
        """The precision that the network runs in: bf16 or fp32."""
        return self._network.precision

    def embed(self, images: Sequence[Image]) -> FloatArray:
        """Embed RGB images of any size: (n, size) float32, L2-normalised, in input order."""
        pooled = self._network(to_pixels(images, self.input_size))
        pooled_parts = np.split(pooled, len(self._projections), axis=1)
        pairs = zip(self._projections, pooled_parts, strict=True)
        with on_one_thread():
            tuned, *start = (projection.project(part) for projection, part in pairs)
            if not start:
                return tuned
            return fuse(tuned, *start, directions=self._directions, weight=self._start_weight)


@dataclass(frozen=True, kw_only=True)
class Projection:
    """A part of the vector: the projection of one tail's pooled features."""

    components: FloatArray  # (size, channels)
    bias: FloatArray  # (size,)
    normalise_first: bool  # before the projection, too

    def project(self, pooled: FloatArray) -> FloatArray:
        """Project (n, channels) to (n, size), of length 1."""
        features = normalise(pooled) if self.normalise_first else pooled
        return normalise(features @ self.components.T + self.bias)


def projections_of(checkpoint: Checkpoint, *, with_start: bool) -> list[Projection]:
    """Return the parts of a checkpoint's vectors: tuned and, `with_start`, from before tuning."""
    head = checkpoint.head.astype(np.float32)
    bias = checkpoint.head_bias.astype(np.float32)
    tuned = Projection(components=head, bias=bias, normalise_first=False)
    if not with_start:
        return [tuned]
    components = checkpoint.components.astype(np.float32)
    centre = -components @ checkpoint.mean.astype(np.float32)
    start = Projection(components=components, bias=centre, normalise_first=True)
    return [tuned, start]
