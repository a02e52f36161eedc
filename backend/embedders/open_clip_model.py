"""Image towers of CLIP, FashionCLIP, SigLIP and similar networks, through open_clip.

`open-clip/ViT-B-32?weights=laion2b_s34b_b79k`, `open-clip/hf-hub:Marqo/marqo-fashionSigLIP`, or
offline `open-clip/local-dir:/path/to/folder` and `open-clip/ViT-B-32?weights=/path/to/file.pt`.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import torch
from torch import nn

from backend.embedders import Compute, register
from backend.embedders.cnn import Preprocessing
from backend.embedders.options import parse_whole_number
from backend.embedders.pca import load_pca, pca_options
from backend.embedders.pixels import to_byte_range
from backend.embedders.untraced_network import UntracedEmbedder
from backend.embedders.weights import UNREADABLE
from backend.errors import UnknownEmbedder, WeightsUnavailable

RANDOM: Final = "random"
WITH_WEIGHTS: Final = ("hf-hub:", "local-dir:")  # such a name comes with its weights


@register("open-clip")
def load_open_clip(
    variant: str,
    *,
    compute: Compute,
    weights: str = "",
    seed: str = "0",
    pca: str = "none",
    whitening: str = "",
) -> UntracedEmbedder:
    """Load an image tower, without its text tower.

    `variant` is a name of open_clip's, or `hf-hub:owner/name`, or `local-dir:/folder`. `weights` is
    one of open_clip's tags for it, the path of a checkpoint, or `random`, a baseline drawn with
    `seed`; names of the last two kinds come with their weights. `pca` and `whitening` are as in
    `load_pca`.

    The whole image is stretched to the tower's input, as SigLIP's own transform does. CLIP's crops
    a square out of the middle, which would cut off the top and bottom of a tall photograph. Raises
    UnknownEmbedder, also where the package is missing, and WeightsUnavailable.
    """
    if find_spec("open_clip") is None:
        raise UnknownEmbedder(
            "open-clip needs the package open-clip-torch: pip install 'lookalike[clip]'"
        )
    tower = _tower(variant, weights, parse_whole_number("seed", seed))
    options = f"weights={quote(weights, safe='/')}" + (f"&seed={seed}" if weights == RANDOM else "")
    is_folder = variant.startswith("local-dir:")  # its path must not change the fingerprint
    return UntracedEmbedder(
        tower,
        name=f"open-clip/{variant}?{options}{pca_options(pca, whitening)}",
        recipe={"family": "open-clip", "network": "" if is_folder else variant},
        preprocessing=_preprocessing(tower.preprocess_cfg),
        compute=compute,
        pca=load_pca(pca, whitening),
    )


def _tower(variant: str, weights: str, seed: int) -> Any:
    import open_clip  # noqa: PLC0415  (an optional dependency)

    bundled = variant.startswith(WITH_WEIGHTS)
    if not bundled:
        _check(variant, weights)
    pretrained = None if bundled or weights == RANDOM else weights
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = open_clip.create_model(variant, pretrained=pretrained, precision="fp32")
    except UNREADABLE as error:
        reason = (str(error) or repr(error)).splitlines()[0]
        raise WeightsUnavailable(
            f"the weights of open-clip/{variant} are not on disk and cannot be downloaded "
            f"({reason}). Name a checkpoint, open-clip/NAME?weights=/path/to/file.pt, or a "
            "folder with open_clip_config.json, open-clip/local-dir:/path"
        ) from None
    tower: nn.Module = model.visual
    return tower


def _check(variant: str, weights: str) -> None:
    """Raise UnknownEmbedder for an unknown name, and WeightsUnavailable for unknown weights."""
    import open_clip  # noqa: PLC0415

    if variant not in open_clip.list_models():
        raise UnknownEmbedder(
            f"open_clip has no {variant!r}; it has {', '.join(open_clip.list_models()[:12])} …, "
            f"and what begins with {' or '.join(WITH_WEIGHTS)}"
        )
    tags = open_clip.list_pretrained_tags_by_model(variant)
    if weights not in (*tags, RANDOM) and not Path(weights).is_file():
        names = ", ".join([*tags, RANDOM])
        raise WeightsUnavailable(f"weights={weights}: neither a file nor one of {names}")


def _preprocessing(config: dict[str, Any]) -> Preprocessing:
    size = config["size"]
    height, width = (size, size) if isinstance(size, int) else size
    return Preprocessing(
        input_size=(height, width),
        mean=to_byte_range(config["mean"]),
        std=to_byte_range(config["std"]),
    )
