"""The pretrained networks that can be tuned, and their preprocessing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import parse_qsl

from torch import fx, nn

from backend.embedders import efficientnet_lite, efficientnet_lite_model, torchvision_models
from backend.embedders.cnn import Preprocessing
from backend.embedders.split_network import split_before
from backend.embedders.tracing import cut_at_last_map
from backend.errors import UnknownEmbedder
from backend.images.decode import Size


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A pretrained network, of which tuning uses the layers up to the last feature map."""

    model: nn.Module
    preprocessing: Preprocessing
    tune_from: str  # the layer that tuning begins with by default; empty: none
    bf16_from: str  # as in `Network`

    def split(self, layer: str) -> tuple[fx.GraphModule, fx.GraphModule]:
        """Return the stem before `layer`, and the tail from it on. Raises UnknownEmbedder."""
        if not layer:
            parts = ", ".join(name for name, _ in self.model.named_children())
            raise UnknownEmbedder(f"name the layer to tune from; the network has: {parts}")
        return split_before(cut_at_last_map(self.model, self.preprocessing.input_size), layer)


def load_backbone(spec: str, *, input_size: Size | None = None) -> Backbone:
    """Load `efficientnet-lite0`, or `torchvision/NAME[?weights=…&seed=…]`.

    Images are stretched to `input_size`, by default the size after the network's own crop.
    Raises UnknownEmbedder and WeightsUnavailable as `embedders.load` does.
    """
    name, _, query = spec.partition("?")
    family, _, variant = name.partition("/")
    options = dict(parse_qsl(query))
    if family == "torchvision" and options.keys() <= {"weights", "seed"}:
        model, preprocessing = torchvision_models.load_network(variant, **options)
        tune_from, bf16_from = "layer4" if hasattr(model, "layer4") else "", ""
    elif spec == "efficientnet-lite0":
        model, preprocessing = efficientnet_lite_model.load_model(), efficientnet_lite.PREPROCESSING
        tune_from, bf16_from = "blocks.4", efficientnet_lite.BF16_FROM
    else:
        raise UnknownEmbedder(
            f"{spec!r} cannot be tuned: take efficientnet-lite0, or torchvision/NAME with no other "
            "options than weights and seed"
        )
    size = input_size or preprocessing.crop or preprocessing.input_size
    return Backbone(
        model=model,
        preprocessing=replace(preprocessing, input_size=size, crop=None),
        tune_from=tune_from,
        bf16_from=bf16_from,
    )
