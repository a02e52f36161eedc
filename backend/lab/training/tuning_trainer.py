"""The state of a tuning run, and its training steps.

Each random choice has a generator of its own, seeded by the recipe's seed and the number of the
epoch or step. So a resumed run continues as if it had never been interrupted, and no generator's
state has to be saved.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F  # noqa: N812  (as everywhere)
from torch.optim.swa_utils import AveragedModel

from backend.embedders import FloatArray
from backend.lab.training.feature_cache import FeatureCache
from backend.lab.training.hardware import Hardware
from backend.lab.training.objective import Aim, Objective
from backend.lab.training.tuned_network import Head, TunedNetwork
from backend.lab.training.tuning_data import TuningData
from backend.lab.training.tuning_recipe import TuningRecipe
from backend.lab.types import Positions, Report

VALIDATION_BATCH = 64


class TuningTrainer:
    """The network that learns, the moving average of its weights, and the progress of the run."""

    def __init__(
        self,
        tail: fx.GraphModule,
        recipe: TuningRecipe,
        data: TuningData,
        features: FeatureCache,
        hardware: Hardware,
    ) -> None:
        """Start with the given tail and a head initialised by the seed."""
        self._recipe, self._data = recipe, data
        self._features, self._hardware = features, hardware
        self._starting = torch.from_numpy(data.whitening.project(features.starting))
        torch.manual_seed(recipe.seed)
        head = Head(features.starting.shape[1], recipe.size, dropout=recipe.dropout)
        self._network = hardware.place(TunedNetwork(tail, head))
        objective = Objective(recipe.size, recipe.aims, data.classes, recipe.weights)
        self._objective = objective.to(hardware.device)
        self.averaged = AveragedModel(self._network, multi_avg_fn=self._average, use_buffers=True)
        self._optimizer = torch.optim.AdamW(self._groups(), weight_decay=recipe.weight_decay)
        self.step = 0
        self.seconds = 0.0  # of this epoch's steps
        self.losses: dict[str, float] = {}  # sums of this epoch
        self.history: list[dict[str, Any]] = []  # of the epochs that are over

    # --- state -------------------------------------------------------------------------------

    @property
    def steps_per_epoch(self) -> int:
        """The whole batches of the training products; one if there are fewer than a batch."""
        return max(1, len(self._data.training) // self._recipe.batch_size)

    @property
    def epoch(self) -> int:
        """The number of the epoch that the next step belongs to, from 0."""
        return self.step // self.steps_per_epoch

    @property
    def directions(self) -> FloatArray:
        """The directions of the first label's categories, (categories, size) of length 1."""
        first = self._objective.directions[0].detach()
        return F.normalize(first).float().cpu().numpy()

    def state(self) -> dict[str, Any]:
        """Return everything that the next step depends on, for `torch.save`."""
        return {
            "network": self._network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "objective": self._objective.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "losses": self.losses,
            "history": self.history,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Return to a state that `state` returned."""
        for part in ("network", "averaged", "objective", "optimizer"):
            getattr(self, part if part == "averaged" else f"_{part}").load_state_dict(state[part])
        self.step, self.seconds = state["step"], state["seconds"]
        self.losses, self.history = dict(state["losses"]), state["history"]

    def load_weights(self, state: Mapping[str, Any], aims: Sequence[Aim]) -> None:
        """Start from the averaged weights of another run, which had these aims."""
        averaged = {
            name.removeprefix("module."): tensor
            for name, tensor in state["averaged"].items()
            if name.startswith("module.")
        }
        for network in (self._network, self.averaged.module):
            network.load_state_dict(averaged)
        self._objective.load_directions(state["objective"], aims)

    # --- training ----------------------------------------------------------------------------

    def train_head(self, report: Report) -> None:
        """Train the head alone on the starting features; an epoch takes seconds."""
        recipe, head = self._recipe, self._network.head
        parameters = [*head.parameters(), *self._objective.parameters()]
        group = _group(parameters, recipe.head_alone_rate)
        optimizer = torch.optim.AdamW([group], weight_decay=recipe.weight_decay)
        total = recipe.head_epochs * self.steps_per_epoch
        for step in range(total):
            self._seed(step, "head")
            _set_rates(optimizer, _rate(step, total, recipe.warm_up))
            rows = self._batch(step, "head")
            pooled = torch.from_numpy(self._features.starting[rows].astype(np.float32))
            losses = self._losses(head(pooled.to(self._hardware.device)), rows)
            _optimize(optimizer, losses)
            report((step + 1) * len(rows), total * len(rows))
        self.averaged.module.load_state_dict(self._network.state_dict())

    def train_step(self) -> int:
        """Take one step; return the number of images in its batch."""
        started = time.monotonic()
        recipe = self._recipe
        self._network.train()
        self._seed(self.step, "tail")
        _set_rates(
            self._optimizer, _rate(self.step, recipe.epochs * self.steps_per_epoch, recipe.warm_up)
        )
        rows = self._batch(self.step, "tail")
        losses = self._losses(self._network(self._maps(rows)), rows)
        for name, loss in losses.items():
            self.losses[name] = self.losses.get(name, 0) + loss.item()
        _optimize(self._optimizer, losses)
        self.averaged.update_parameters(self._network)
        self.step += 1
        self.seconds += time.monotonic() - started
        return len(rows)

    @torch.inference_mode()
    def embed(self, rows: Positions, report: Report) -> FloatArray:
        """Embed products with the averaged weights, (rows, size) of length 1."""
        self.averaged.eval()
        vectors = [np.empty((0, self._recipe.size), np.float32)]
        for start in range(0, len(rows), VALIDATION_BATCH):
            some = rows[start : start + VALIDATION_BATCH]
            maps = self._features.maps(some, np.zeros(len(some), np.int64))
            batch = self.averaged(maps.to(self._hardware.device, self._hardware.dtype))
            vectors.append(batch.float().cpu().numpy())
            report(start + len(some), len(rows))
        return np.concatenate(vectors)

    # --- the parts of a step -----------------------------------------------------------------

    def _losses(self, vectors: Tensor, rows: Positions) -> Mapping[str, Tensor]:
        targets = torch.from_numpy(self._data.targets[rows]).to(self._hardware.device)
        losses: Mapping[str, Tensor] = self._objective(
            vectors, targets, self._starting[rows].to(self._hardware.device)
        )
        return losses

    def _batch(self, step: int, phase: str) -> Positions:
        """Draw the products of a step; an epoch has each once, except an incomplete batch."""
        epoch, position = divmod(step, self.steps_per_epoch)
        order = self._generator(phase, epoch).permutation(self._data.training)
        return order[position * self._recipe.batch_size :][: self._recipe.batch_size]

    def _maps(self, rows: Positions) -> Tensor:
        """Return the maps of a random view of each product, half of them mirrored."""
        rng = self._generator("views", self.step)
        views = rng.integers(0, min(self.epoch + 1, self._recipe.views), len(rows))
        maps = self._features.maps(rows, views)
        mirrored = torch.from_numpy(rng.random(len(rows)) < 0.5).reshape(-1, 1, 1, 1)
        maps = torch.where(mirrored, maps.flip(3), maps)
        return maps.to(self._hardware.device, self._hardware.dtype)

    def _generator(self, purpose: str, number: int) -> np.random.Generator:
        return np.random.default_rng([self._recipe.seed, *purpose.encode(), number])

    def _seed(self, step: int, phase: str) -> None:
        torch.manual_seed(int(self._generator(f"torch {phase}", step).integers(2**63)))

    def _groups(self) -> list[dict[str, Any]]:
        head = [*self._network.head.parameters(), *self._objective.parameters()]
        return [
            _group(self._network.tail.parameters(), self._recipe.tail_rate),
            _group(head, self._recipe.head_rate),
        ]

    def _average(self, averaged: Any, current: Any, count: Any) -> None:
        """Update the moving average; faster at first, because it starts from untuned weights."""
        kept = min(self._recipe.averaging, (1 + int(count)) / (10 + int(count)))
        for mean, value in zip(averaged, current, strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, 1 - kept)
            else:
                mean.copy_(value)


def _group(parameters: Iterable[nn.Parameter], rate: float) -> dict[str, Any]:
    return {"params": list(parameters), "lr": rate, "initial_lr": rate}


def _optimize(optimizer: torch.optim.Optimizer, losses: Mapping[str, Tensor]) -> None:
    optimizer.zero_grad(set_to_none=True)
    torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def _set_rates(optimizer: torch.optim.Optimizer, share: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = share * group["initial_lr"]


def _rate(step: int, total: int, warm_up: int) -> float:
    """Return the share of the full learning rate: linear warm-up, then cosine decay to 0."""
    return min(1, (step + 1) / warm_up) * (1 + math.cos(math.pi * step / total)) / 2
