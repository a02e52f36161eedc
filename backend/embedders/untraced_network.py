"""The embedder of networks that are run as they are, such as transformers, which cannot be traced.

`cnn` traces a convolutional network and changes it for speed; here a network's own forward pass
gives the features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor, nn

from backend.embedders import Block, Compute, FloatArray
from backend.embedders.cnn import Preprocessing
from backend.embedders.devices import choose_device
from backend.embedders.fingerprints import fingerprint
from backend.embedders.pca import Pca, arrays_of
from backend.embedders.pixels import Pixels, crop_middle, normalise, to_pixels

BATCH_SIZES: Final = {"cpu": 8, "mps": 32, "cuda": 128}
SMALLEST_CALL: Final = 32


class UntracedEmbedder:
    """Embeds an image as the features that a network returns, optionally projected by a PCA.

    Computes in fp32 unless bf16 is asked for: how exact bf16 is differs between networks.
    """

    blocks: tuple[Block, ...] = ()

    def __init__(
        self,
        model: nn.Module,
        *,
        name: str,
        recipe: Mapping[str, Any],
        preprocessing: Preprocessing,
        compute: Compute,
        pca: Pca | None = None,
    ) -> None:
        """Take `model`, which turns (n, 3, height, width) into (n, features).

        `recipe` is whatever else changes the vector, beside weights, preprocessing and PCA.
        """
        self.name = name
        self.input_size = preprocessing.input_size
        self.precision = "bf16" if compute.precision == "bf16" else "fp32"
        self._crop = preprocessing.crop or preprocessing.input_size
        self._device = choose_device(compute.device)
        self._largest_batch = compute.batch_size or BATCH_SIZES.get(self._device.type, 8)
        self.batch_size = compute.batch_size or max(SMALLEST_CALL, self._largest_batch)
        if self._device.type == "cpu" and compute.threads:
            torch.set_num_threads(compute.threads)
        self._mean = torch.tensor(preprocessing.mean, device=self._device).reshape(1, 3, 1, 1)
        self._std = torch.tensor(preprocessing.std, device=self._device).reshape(1, 3, 1, 1)
        self.fingerprint = _fingerprint({**recipe, **vars(preprocessing)}, model, pca)
        self._model = model.eval().to(self._device)
        self._features = self._forward(np.zeros((1, *self._crop, 3), np.uint8)).shape[1]
        if pca:
            pca.check(self._features)
        self._pca = pca
        self.size = len(pca.components) if pca else self._features

    def embed(self, images: Sequence[Image]) -> FloatArray:
        """Embed RGB images of any size: (n, size) float32, L2-normalised, in input order."""
        pixels = crop_middle(to_pixels(images, self.input_size), self._crop)
        starts = range(0, len(pixels), self._largest_batch)
        parts = [self._computed(pixels[start : start + self._largest_batch]) for start in starts]
        features = normalise(np.concatenate([np.empty((0, self._features), np.float32), *parts]))
        return normalise(self._pca.project(features)) if self._pca else features

    def _computed(self, batch: Pixels) -> FloatArray:
        """Compute a batch; halve it, repeatedly, while a GPU's memory is too small for it."""
        try:
            return self._forward(batch)
        except torch.OutOfMemoryError:
            if len(batch) == 1:
                raise
        torch.cuda.empty_cache()  # not in the handler: the error keeps what was computed
        half = len(batch) // 2
        return np.concatenate([self._computed(batch[:half]), self._computed(batch[half:])])

    @torch.inference_mode()
    def _forward(self, batch: Pixels) -> FloatArray:
        colours = torch.from_numpy(np.ascontiguousarray(batch)).to(self._device)
        colours = colours.permute(0, 3, 1, 2).float()
        bf16 = self.precision == "bf16"
        with torch.autocast(self._device.type, torch.bfloat16, enabled=bf16):
            features = self._model((colours - self._mean) / self._std)
        return np.asarray(_first(features).float().cpu().numpy(), np.float32)


def _first(features: Any) -> Tensor:
    """Return the pooled features; some towers return a tuple of these and their tokens."""
    tensor: Tensor = features[0] if isinstance(features, tuple) else features
    return tensor


def _fingerprint(recipe: Mapping[str, Any], model: nn.Module, pca: Pca | None) -> str:
    arrays = {name: tensor.cpu().numpy() for name, tensor in model.state_dict().items()}
    return fingerprint({**recipe, "resampling": "bicubic"}, arrays | arrays_of(pca))
