"""The part of a network that learns: its tail and the head behind it."""

from __future__ import annotations

from typing import Self

import numpy as np
from torch import Tensor, fx, nn
from torch.nn import functional as F  # noqa: N812  (as everywhere)

from backend.embedders.checkpoint import Half
from backend.lab.training.layers import folded_state, make_trainable, statistics


class Head(nn.Module):
    """Pooled features -> an embedding of length 1."""

    def __init__(self, channels: int, size: int, *, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(channels, size, bias=False)
        self.norm = nn.BatchNorm1d(size, affine=False)

    def forward(self, pooled: Tensor) -> Tensor:
        """Return (n, size) of length 1."""
        return F.normalize(self.norm(self.linear(self.dropout(pooled))))

    def folded(self) -> tuple[Half, Half]:
        """Return weights (size, channels) and bias (size,): the same, but not normalised."""
        mean, deviation = statistics(self.norm)
        return _half(self.linear.weight / deviation[:, None]), _half(-mean / deviation)


class TunedNetwork(nn.Module):
    """Maps at the cut -> an embedding of length 1."""

    def __init__(self, tail: fx.GraphModule, head: Head) -> None:
        """Use both; the tail is changed in place, so that its batch norms keep their statistics."""
        super().__init__()
        make_trainable(tail)
        self.tail = tail
        self.head = head

    def train(self, mode: bool = True) -> Self:
        """Set the mode of the head alone: the tail always computes as it will when it embeds."""
        super().train(mode)
        self.tail.eval()
        return self

    def forward(self, maps: Tensor) -> Tensor:
        """Embed maps (n, channels, height, width) of any float dtype: (n, size), of length 1.

        The head computes in float32.
        """
        return self.head(self.tail(maps).float().mean(dim=(2, 3)))  # type: ignore[no-any-return]

    def tail_state(self) -> dict[str, Half]:
        """Return the tail's state in float16, its batch norms folded."""
        return {name: _half(tensor) for name, tensor in folded_state(self.tail).items()}


def _half(tensor: Tensor) -> Half:
    return np.asarray(tensor.detach().cpu().float().numpy(), np.float16)
