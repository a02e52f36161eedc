"""Trace a classifier for `CnnEmbedder`, and fingerprint it."""

from __future__ import annotations

from torch import nn

from backend.embedders import colour
from backend.embedders.cnn import Preprocessing
from backend.embedders.engines import Pool
from backend.embedders.fingerprints import fingerprint
from backend.embedders.pca import Pca, arrays_of
from backend.embedders.traced import TracedNetwork
from backend.embedders.tracing import cut_at_last_map


def trace_cnn(
    model: nn.Module,
    *,
    preprocessing: Preprocessing,
    pool: Pool,
    pca: Pca | None,
    colour_share: float,
    bf16_from: str = "",
) -> TracedNetwork:
    """Cut a classifier at its last map. PCA and colours only change the fingerprint."""
    graph = cut_at_last_map(model, preprocessing.crop or preprocessing.input_size)
    recipe = {
        "preprocessing": vars(preprocessing),
        "resampling": "bicubic",
        "pool": pool,
        "colour": [colour_share, colour.RECIPE if colour_share else {}],
        "network": type(model).__name__,
    }
    arrays = {name: tensor.cpu().numpy() for name, tensor in graph.state_dict().items()}
    return TracedNetwork(
        graph=graph,
        fingerprint=fingerprint(recipe, arrays | arrays_of(pca)),
        mean=preprocessing.mean,
        std=preprocessing.std,
        pool=pool,
        input_size=preprocessing.input_size,
        crop=preprocessing.crop,
        bf16_from=bf16_from,
    )
