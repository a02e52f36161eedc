"""torchvision's classification CNNs as torch has them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn
from torchvision import models

from backend.embedders.cnn import Preprocessing
from backend.embedders.cnn_tracing import trace_cnn
from backend.embedders.engines import Pool
from backend.embedders.options import parse_whole_number
from backend.embedders.pca import load_pca
from backend.embedders.pixels import to_byte_range
from backend.embedders.torchvision_cnn import RANDOM
from backend.embedders.traced import TracedNetwork
from backend.embedders.weights import fit_tensors, read_tensors
from backend.errors import UnknownEmbedder, WeightsUnavailable

NO_CNN: Final = ("vit_", "swin_", "maxvit")
INCEPTIONS: Final = ("googlenet", "inception_v3")  # the only ones with options of their own
UNUSED: Final = ("fc.", "classifier.", "aux", "AuxLogits.")
"""Prefixes of layers that features do not need: classifiers, and outputs for training only."""


def make(
    *,
    variant: str,
    weights: str,
    seed: str,
    pool: Pool,
    pca: str,
    whitening: str,
    colour_share: float,
) -> TracedNetwork:
    """Trace the network for `torchvision_cnn.load_torchvision`."""
    model, preprocessing = load_network(variant, weights=weights, seed=seed)
    return trace_cnn(
        model,
        preprocessing=preprocessing,
        pool=pool,
        pca=load_pca(pca, whitening),
        colour_share=colour_share,
    )


def load_network(
    variant: str, *, weights: str = "DEFAULT", seed: str = "0"
) -> tuple[nn.Module, Preprocessing]:
    """Load a whole network and its preprocessing; `weights` and `seed` as in `torchvision_cnn`."""
    enum = _weights_enum(variant)
    model = _build(variant, enum, weights, parse_whole_number("seed", seed))
    chosen = enum[weights] if weights in enum.__members__ else enum["DEFAULT"]
    return model, _preprocessing(chosen.transforms())


def _weights_enum(variant: str) -> Any:
    known = [name for name in models.list_models(module=models) if not name.startswith(NO_CNN)]
    if variant not in known:
        raise UnknownEmbedder(f"torchvision has no CNN {variant!r}; it has: {', '.join(known)}")
    return models.get_model_weights(variant)


def _build(variant: str, enum: Any, weights: str, seed: int) -> nn.Module:
    if weights in enum.__members__:
        return _with_state(variant, _download(variant, enum[weights]))
    if weights == RANDOM:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return _bare(variant, init_weights=True)
    if Path(weights).is_file():
        return _with_state(variant, _read(Path(weights)))
    names = ", ".join([*enum.__members__, RANDOM])
    raise WeightsUnavailable(f"weights={weights}: neither a file nor one of {names}")


def _bare(variant: str, **inception_options: bool) -> nn.Module:
    options = inception_options if variant in INCEPTIONS else {}
    model: nn.Module = models.get_model(variant, weights=None, **options)
    return model


def _with_state(variant: str, state: Mapping[str, torch.Tensor]) -> nn.Module:
    """Build a network with given weights; the trained classes may be others."""
    model = _bare(variant, init_weights=False, transform_input=True)
    fit_tensors(model, state, name=f"torchvision/{variant}", unused=UNUSED)
    return model


def _read(path: Path) -> Mapping[str, torch.Tensor]:
    state: Mapping[str, torch.Tensor] = read_tensors(path)
    if not isinstance(state, Mapping) or not all(torch.is_tensor(v) for v in state.values()):
        raise WeightsUnavailable(f"{path} is not a state dict of tensors")
    return state


def _download(variant: str, weights: Any) -> Mapping[str, torch.Tensor]:
    """Return the enum's state dict, from torch's cache if it is there."""
    try:
        with redirect_stdout(sys.stderr):  # torch prints what it downloads
            state: Mapping[str, torch.Tensor] = weights.get_state_dict(
                progress=False, check_hash=True, weights_only=True, map_location="cpu"
            )
    except (OSError, RuntimeError) as error:  # no network; the hash does not match
        raise WeightsUnavailable(
            f"the weights {weights.name} of torchvision/{variant} cannot be downloaded ({error}). "
            f"Either put {weights.url} into {torch.hub.get_dir()}/checkpoints, or name a local "
            f"state dict: torchvision/{variant}?weights=/path/to/file.pth"
        ) from None
    return state


def _preprocessing(transforms: Any) -> Preprocessing:
    resized, cropped = transforms.resize_size[0], transforms.crop_size[0]
    return Preprocessing(
        input_size=(resized, resized),
        crop=(cropped, cropped),
        mean=to_byte_range(transforms.mean),
        std=to_byte_range(transforms.std),
    )
