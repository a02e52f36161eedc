"""The loss of a tuning run: labels, pairs with the same label, and changed similarities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (as everywhere)

MISSING = -1
"""The code of a product without this label; the label's loss ignores the product."""


@dataclass(frozen=True, kw_only=True)
class Aim:
    """A label to train on, or several joined with +, and the weight of its loss."""

    by: str
    weight: float


@dataclass(frozen=True, kw_only=True)
class Weights:
    """The weights and constants of the loss. The defaults gave the best scores of those tried."""

    scale: float = 16  # of the cosines before the softmax
    smoothing: float = 0.05
    contrast: float = 0.5  # of the supervised contrastive loss, by the first joint label
    contrast_first: float = 0.5  # of the same loss by the first label, within `contrast`
    temperature: float = 0.1
    distillation: float = 50


class Objective(nn.Module):
    """The weighted sum of cosine softmaxes, supervised contrast and distillation."""

    def __init__(self, size: int, aims: Sequence[Aim], classes: Sequence[int], weights: Weights):
        """Make one classifier of `classes[i]` directions for each aim."""
        super().__init__()
        self.weights = weights
        self.aims = aims
        self.directions = nn.ParameterList(nn.Parameter(torch.randn(n, size)) for n in classes)
        joint = next((i for i, aim in enumerate(aims) if "+" in aim.by), 0)
        self._contrasts = {joint: 1.0} | ({0: weights.contrast_first} if joint else {})

    def load_directions(self, state: Mapping[str, Tensor], aims: Sequence[Aim]) -> None:
        """Copy the directions of another objective, for the aims that both have."""
        theirs = {aim.by: state[f"directions.{i}"] for i, aim in enumerate(aims)}
        with torch.no_grad():
            for aim, directions in zip(self.aims, self.directions, strict=True):
                if aim.by in theirs and theirs[aim.by].shape == directions.shape:
                    directions.copy_(theirs[aim.by])

    def forward(self, vectors: Tensor, targets: Tensor, starting: Tensor) -> Mapping[str, Tensor]:
        """Return the weighted parts of the loss of a batch.

        `vectors` (n, size) and `starting` (n, any size) have length 1; `targets` (n, aims) are
        codes, MISSING for none.
        """
        parts = {
            aim.by: aim.weight * self._softmax(vectors, directions, targets[:, i])
            for i, (aim, directions) in enumerate(zip(self.aims, self.directions, strict=True))
        }
        cosines = vectors @ vectors.T
        contrasts = [
            weight * supervised_contrast(cosines, targets[:, i], self.weights.temperature)
            for i, weight in self._contrasts.items()
        ]
        parts["contrast"] = self.weights.contrast * torch.stack(contrasts).sum()
        change = (cosines - starting @ starting.T).square().mean()
        parts["distillation"] = self.weights.distillation * change
        return parts

    def _softmax(self, vectors: Tensor, directions: Tensor, targets: Tensor) -> Tensor:
        """Return the cross entropy of scaled cosines (NormFace, Wang et al. 2017)."""
        logits = self.weights.scale * vectors @ F.normalize(directions).T
        losses = F.cross_entropy(
            logits,
            targets,
            ignore_index=MISSING,
            label_smoothing=self.weights.smoothing,
            reduction="sum",
        )
        return losses / (targets != MISSING).sum().clamp(min=1)


def supervised_contrast(cosines: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Return the supervised contrastive loss of a batch (Khosla et al. 2020, L_out).

    It is the mean over the products with a positive: another product with the same target.
    """
    itself = torch.eye(len(targets), dtype=torch.bool, device=targets.device)
    same = (targets[:, None] == targets) & (targets != MISSING)[:, None] & ~itself
    logits = (cosines / temperature).masked_fill(itself, float("-inf"))
    log_shares = (logits - logits.logsumexp(dim=1, keepdim=True)).masked_fill(~same, 0)
    positives = same.sum(dim=1)
    losses = -log_shares.sum(dim=1) / positives.clamp(min=1)
    return losses.sum() / (positives > 0).sum().clamp(min=1)
