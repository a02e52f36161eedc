"""A network as torch has it, traced, with all that decides its vectors."""

from __future__ import annotations

from dataclasses import dataclass

from torch import fx

from backend.embedders.engines import Pool
from backend.images.decode import Size


@dataclass(frozen=True, kw_only=True)
class TracedNetwork:
    """A graph from `trace` or `cut_at_last_map`, which runs on (RGB - mean) / std, from 0 to 255.

    Whoever runs it changes the graph.
    """

    graph: fx.GraphModule
    fingerprint: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    pool: Pool
    input_size: Size  # that images are stretched to
    crop: Size | None = None  # of the middle that the network sees
    bf16_from: str = ""  # the layers before this one need fp32
