"""Any network of timm, by name: `timm/vit_small_patch16_224.augreg_in1k?pool=own`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import timm
import torch
from timm.data.config import resolve_model_data_config
from timm.models import load_state_dict
from torch import Tensor, nn

from backend.embedders import Compute, register
from backend.embedders.cnn import Preprocessing
from backend.embedders.options import parse_choice, parse_whole_number
from backend.embedders.pca import load_pca, pca_options
from backend.embedders.pixels import to_byte_range
from backend.embedders.untraced_network import UntracedEmbedder
from backend.embedders.weights import UNREADABLE, fit_tensors
from backend.errors import UnknownEmbedder, WeightsUnavailable

PRETRAINED: Final = "pretrained"
RANDOM: Final = "random"
OWN: Final = "own"


@register("timm")
def load_timm(
    variant: str,
    *,
    compute: Compute,
    pool: str = OWN,
    weights: str = PRETRAINED,
    seed: str = "0",
    pca: str = "none",
    whitening: str = "",
) -> UntracedEmbedder:
    """Load a network of timm and take its features before the classifier.

    `weights` is `pretrained` (those of the name's tag, from the hub or its cache), the path of a
    state dict (.pth or .safetensors), or `random`, a baseline drawn with `seed`. `pool` is `own`,
    what the network was trained with (a mean, or a class token), avg or max. `pca` is the path of
    one that was fitted on these features, `whitening` from 0 to 1.

    The whole image is stretched to the size that the network's own transform resizes to, then
    cropped as there. For a square image of that size the result is exactly timm's.
    """
    pool_ = parse_choice("pool", pool, (OWN, "avg", "max"))
    model = _model(variant, weights, parse_whole_number("seed", seed), pool_)
    options = f"pool={pool_}&weights={quote(weights, safe='/')}"
    options += f"&seed={int(seed)}" if weights == RANDOM else ""
    return UntracedEmbedder(
        model,
        name=f"timm/{variant}?{options}{pca_options(pca, whitening)}",
        recipe={"family": "timm", "network": variant, "pool": pool_},
        preprocessing=_preprocessing(model),
        compute=compute,
        pca=load_pca(pca, whitening),
    )


def _model(variant: str, weights: str, seed: int, pool: str) -> nn.Module:
    pooling: dict[str, Any] = {} if pool == OWN else {"global_pool": pool}
    if weights == PRETRAINED:
        return _pretrained(variant, pooling)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _create(variant, **pooling)
    if weights != RANDOM:
        fit_tensors(model, _read(Path(weights)), name=f"timm/{variant}")
    return model


def _create(variant: str, **options: Any) -> nn.Module:
    """Create a network without its classifier. Raises UnknownEmbedder."""
    try:
        model: nn.Module = timm.create_model(variant, num_classes=0, **options)
    except (RuntimeError, TypeError, AssertionError, ValueError) as error:
        raise UnknownEmbedder(f"timm cannot make {variant!r}: {error}{_alike(variant)}") from None
    return model


def _alike(variant: str) -> str:
    """List names that are similar; timm has more than a thousand."""
    names = timm.list_models(f"*{variant.partition('.')[0][:8]}*")
    return f"; it has {', '.join(names[:8])} …" if names else ""


def _pretrained(variant: str, pooling: Mapping[str, Any]) -> nn.Module:
    _create(variant, **pooling)  # a wrong name raises UnknownEmbedder here
    try:
        model: nn.Module = timm.create_model(variant, num_classes=0, pretrained=True, **pooling)
    except (OSError, RuntimeError) as error:
        raise WeightsUnavailable(
            f"the weights of timm/{variant} are not on disk and cannot be downloaded "
            f"({str(error).splitlines()[0]}). Name a local state dict: "
            f"timm/{variant}?weights=/path/to/file.safetensors"
        ) from None
    return model


def _read(path: Path) -> Mapping[str, Tensor]:
    try:
        state: Mapping[str, Tensor] = load_state_dict(str(path), weights_only=True)
    except (*UNREADABLE, TypeError, AttributeError) as error:
        raise WeightsUnavailable(f"{path} is not a readable state dict: {error!r}") from None
    return state


def _preprocessing(model: nn.Module) -> Preprocessing:
    """Convert timm's configuration: resize to 1 / crop_pct of the input, then crop the middle."""
    config: Mapping[str, Any] = resolve_model_data_config(model)  # type: ignore[no-untyped-call]
    _, height, width = config["input_size"]
    resized = tuple(math.floor(side / config["crop_pct"]) for side in (height, width))
    return Preprocessing(
        input_size=(resized[0], resized[1]),
        crop=(height, width),
        mean=to_byte_range(config["mean"]),
        std=to_byte_range(config["std"]),
    )
