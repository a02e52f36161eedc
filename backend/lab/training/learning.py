"""One run's state and its steps. Interrupted anywhere, it goes on as if it had not been.

Whatever is drawn by lot is drawn anew for each epoch and step from the seed and their number, so
that no generator's state has to be kept.
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
from backend.lab.training.features import Features, Report, Rows
from backend.lab.training.hardware import Hardware
from backend.lab.training.material import Material
from backend.lab.training.objective import Aim, Objective
from backend.lab.training.recipe import TuningRecipe
from backend.lab.training.tuned_network import Head, TunedNetwork

JUDGED_BATCH = 64


class Learning:
    """The network while it learns, the average of its weights, and how far it has come."""

    def __init__(
        self,
        tail: fx.GraphModule,
        recipe: TuningRecipe,
        material: Material,
        features: Features,
        hardware: Hardware,
    ) -> None:
        """Begin with the tail as it is and a head drawn by the seed."""
        self._recipe, self._material = recipe, material
        self._features, self._hardware = features, hardware
        self._starting = torch.from_numpy(material.whitening.project(features.starting))
        torch.manual_seed(recipe.seed)
        head = Head(features.starting.shape[1], recipe.size, dropout=recipe.dropout)
        self._network = hardware.place(TunedNetwork(tail, head))
        objective = Objective(recipe.size, recipe.aims, material.classes, recipe.weights)
        self._objective = objective.to(hardware.device)
        self.averaged = AveragedModel(self._network, multi_avg_fn=self._average, use_buffers=True)
        self._optimizer = torch.optim.AdamW(self._groups(), weight_decay=recipe.weight_decay)
        self.step = 0
        self.seconds = 0.0  # of this epoch's steps
        self.losses: dict[str, float] = {}  # sums of this epoch
        self.history: list[dict[str, Any]] = []  # of the epochs that are over

    # --- how far it has come -----------------------------------------------------------------

    @property
    def steps_an_epoch(self) -> int:
        """How many whole batches the products to train on make; one, if they make none."""
        return max(1, len(self._material.training) // self._recipe.batch_size)

    @property
    def epoch(self) -> int:
        """The number of the epoch that the next step belongs to, from 0."""
        return self.step // self.steps_an_epoch

    @property
    def directions(self) -> FloatArray:
        """Where the categories of the first label lie, (categories, size) of length 1."""
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
        """Go back to what `state` returned."""
        for part in ("network", "averaged", "objective", "optimizer"):
            getattr(self, part if part == "averaged" else f"_{part}").load_state_dict(state[part])
        self.step, self.seconds = state["step"], state["seconds"]
        self.losses, self.history = dict(state["losses"]), state["history"]

    def take_over(self, state: Mapping[str, Any], aims: Sequence[Aim]) -> None:
        """Begin with the averaged weights of another run, that had these aims."""
        averaged = {
            name.removeprefix("module."): tensor
            for name, tensor in state["averaged"].items()
            if name.startswith("module.")
        }
        for network in (self._network, self.averaged.module):
            network.load_state_dict(averaged)
        self._objective.take_over(state["objective"], aims)

    # --- learning ----------------------------------------------------------------------------

    def learn_head(self, report: Report) -> None:
        """Train the head alone on the starting features, which takes seconds an epoch."""
        recipe, head = self._recipe, self._network.head
        parameters = [*head.parameters(), *self._objective.parameters()]
        group = _group(parameters, recipe.head_alone_rate)
        optimizer = torch.optim.AdamW([group], weight_decay=recipe.weight_decay)
        total = recipe.head_epochs * self.steps_an_epoch
        for step in range(total):
            self._seed(step, "head")
            _set_rates(optimizer, _rate(step, total, recipe.warm_up))
            rows = self._batch(step, "head")
            pooled = torch.from_numpy(self._features.starting[rows].astype(np.float32))
            losses = self._losses(head(pooled.to(self._hardware.device)), rows)
            _descend(optimizer, losses)
            report((step + 1) * len(rows), total * len(rows))
        self.averaged.module.load_state_dict(self._network.state_dict())

    def learn(self) -> int:
        """Take one step; return how many pictures it saw."""
        started = time.monotonic()
        recipe = self._recipe
        self._network.train()
        self._seed(self.step, "tail")
        _set_rates(
            self._optimizer, _rate(self.step, recipe.epochs * self.steps_an_epoch, recipe.warm_up)
        )
        rows = self._batch(self.step, "tail")
        losses = self._losses(self._network(self._maps(rows)), rows)
        for name, loss in losses.items():
            self.losses[name] = self.losses.get(name, 0) + loss.item()
        _descend(self._optimizer, losses)
        self.averaged.update_parameters(self._network)
        self.step += 1
        self.seconds += time.monotonic() - started
        return len(rows)

    @torch.inference_mode()
    def embed(self, rows: Rows, report: Report) -> FloatArray:
        """Embed products by the averaged weights, (rows, size) of length 1."""
        self.averaged.eval()
        made = [np.empty((0, self._recipe.size), np.float32)]
        for start in range(0, len(rows), JUDGED_BATCH):
            some = rows[start : start + JUDGED_BATCH]
            maps = self._features.maps(some, np.zeros(len(some), np.int64))
            vectors = self.averaged(maps.to(self._hardware.device, self._hardware.dtype))
            made.append(vectors.float().cpu().numpy())
            report(start + len(some), len(rows))
        return np.concatenate(made)

    # --- one step's parts --------------------------------------------------------------------

    def _losses(self, vectors: Tensor, rows: Rows) -> Mapping[str, Tensor]:
        targets = torch.from_numpy(self._material.targets[rows]).to(self._hardware.device)
        losses: Mapping[str, Tensor] = self._objective(
            vectors, targets, self._starting[rows].to(self._hardware.device)
        )
        return losses

    def _batch(self, step: int, phase: str) -> Rows:
        """Draw a step's products: each of them once an epoch, but for the last few."""
        epoch, position = divmod(step, self.steps_an_epoch)
        order = self._dice(phase, epoch).permutation(self._material.training)
        return order[position * self._recipe.batch_size :][: self._recipe.batch_size]

    def _maps(self, rows: Rows) -> Tensor:
        """Return the maps of one of each product's views, half of them mirrored."""
        dice = self._dice("views", self.step)
        views = dice.integers(0, min(self.epoch + 1, self._recipe.views), len(rows))
        maps = self._features.maps(rows, views)
        mirrored = torch.from_numpy(dice.random(len(rows)) < 0.5).reshape(-1, 1, 1, 1)
        maps = torch.where(mirrored, maps.flip(3), maps)
        return maps.to(self._hardware.device, self._hardware.dtype)

    def _dice(self, what: str, number: int) -> np.random.Generator:
        return np.random.default_rng([self._recipe.seed, *what.encode(), number])

    def _seed(self, step: int, phase: str) -> None:
        torch.manual_seed(int(self._dice(f"torch {phase}", step).integers(2**63)))

    def _groups(self) -> list[dict[str, Any]]:
        head = [*self._network.head.parameters(), *self._objective.parameters()]
        return [
            _group(self._network.tail.parameters(), self._recipe.tail_rate),
            _group(head, self._recipe.head_rate),
        ]

    def _average(self, averaged: Any, current: Any, count: Any) -> None:
        """Move the average towards the weights, faster at first: it begins with the untuned."""
        kept = min(self._recipe.averaging, (1 + int(count)) / (10 + int(count)))
        for mean, value in zip(averaged, current, strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, 1 - kept)
            else:
                mean.copy_(value)


def _group(parameters: Iterable[nn.Parameter], rate: float) -> dict[str, Any]:
    return {"params": list(parameters), "lr": rate, "initial_lr": rate}


def _descend(optimizer: torch.optim.Optimizer, losses: Mapping[str, Tensor]) -> None:
    optimizer.zero_grad(set_to_none=True)
    torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def _set_rates(optimizer: torch.optim.Optimizer, share: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = share * group["initial_lr"]


def _rate(step: int, total: int, warm_up: int) -> float:
    """Return the share of the full rate: up in a line, down in half a cosine wave to nothing."""
    return min(1, (step + 1) / warm_up) * (1 + math.cos(math.pi * step / total)) / 2
