"""The embedder of convolutional networks: pooled features, optionally with a PCA and colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL.Image import Image

from backend.embedders import Block, Compute, FloatArray, colour
from backend.embedders.engines import NetworkPlan, open_network
from backend.embedders.numpy_threads import on_one_thread
from backend.embedders.pca import Pca
from backend.embedders.pixels import crop_middle, normalise, to_pixels


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """What is done to images before a network: stretch, crop the middle, (RGB - mean) / std."""

    input_size: tuple[int, int]  # (height, width) that images are stretched to
    mean: tuple[float, float, float]  # of channels from 0 to 255
    std: tuple[float, float, float]
    crop: tuple[int, int] | None = None  # (height, width) of the middle that the network sees


class CnnEmbedder:
    """Embeds an image as pooled features of a network, and a histogram of its colours."""

    def __init__(
        self,
        plan: NetworkPlan,
        *,
        name: str,
        compute: Compute,
        pca: Pca | None = None,
        colour_share: float = 0,
    ) -> None:
        """Prepare to embed. `colour_share` is the part of a cosine that comes from the colours.

        The plan's maker ends in `cnn_tracing.trace_cnn`, with the same PCA and share.
        """
        self.name = name
        opened = open_network(plan, compute)
        self._network = opened.run
        self._crop = opened.crop
        self.fingerprint = opened.fingerprint
        self.input_size = opened.input_size
        self.batch_size = self._network.call_size
        if pca:
            pca.check(self._network.size)
        self._pca = pca
        self._colour_share = colour_share
        features = len(pca.components) if pca else self._network.size
        self.size = features + (colour.SIZE if colour_share else 0)
        self.blocks: tuple[Block, ...] = ()
        if colour_share:
            self.blocks = (Block("look", 0, features), Block("colour", features, self.size))

    @property
    def precision(self) -> str:
        """The precision that the network runs in: bf16 or fp32."""
        return self._network.precision

    def embed(self, images: Sequence[Image]) -> FloatArray:
        """Embed RGB images of any size: (n, size) float32, L2-normalised, in input order."""
        pixels = to_pixels(images, self.input_size)
        features = normalise(self._network(crop_middle(pixels, self._crop)))
        if self._pca:
            with on_one_thread():
                features = normalise(self._pca.project(features))
        if not self._colour_share:
            return features
        histograms = colour.colour_histograms(pixels)
        share = np.float32(self._colour_share)
        return np.hstack([np.sqrt(1 - share) * features, np.sqrt(share) * histograms])
