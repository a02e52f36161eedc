"""A network with an operation that OpenVINO does not know."""

from __future__ import annotations

import torch
from torch import Tensor, fx, nn

from backend.embedders.traced import TracedNetwork
from backend.embedders.tracing import trace


class _Odd(nn.Module):
    def forward(self, colours: Tensor) -> Tensor:
        return torch.special.bessel_j0(colours)


def make() -> TracedNetwork:
    size = (8, 8)
    graph: fx.GraphModule = trace(_Odd(), size)
    return TracedNetwork(
        graph=graph,
        fingerprint="odd",
        mean=(0, 0, 0),
        std=(1, 1, 1),
        pool="avg",
        input_size=size,
    )
