"""Tune a pretrained network to a catalogue's own labels: `lookalike train finetune`.

The early layers stay as they are, and what they make of each picture is kept on disk, so that an
epoch costs only the tail. Each epoch ends with a validation on products, and whole categories, that
are never trained on. A killed run goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch

from backend.embedders import Compute
from backend.embedders.backbones import Backbone, load_backbone
from backend.embedders.checkpoint import Checkpoint
from backend.embedders.fingerprints import fingerprint
from backend.embedders.fusion import fuse
from backend.embedders.pixels import normalise
from backend.embedders.weights import read_tensors
from backend.files import replace_file
from backend.lab.evaluation.evaluating import Watch
from backend.lab.evaluation.products import Labels, Pictured
from backend.lab.evaluation.vectors import OpenPictures
from backend.lab.training.features import Features, Stem
from backend.lab.training.hardware import Hardware
from backend.lab.training.learning import Learning
from backend.lab.training.material import Material, divide, prepare
from backend.lab.training.model_card import card, read_card, write_card
from backend.lab.training.recipe import TuningRecipe, keep_to, known_products, predecessor
from backend.lab.training.tuned_network import TunedNetwork
from backend.lab.training.tuning_curves import draw_curves
from backend.lab.training.validation import Judge, Scores, best, total

STATE: Final = "state.pt"  # to go on from
TUNED: Final = "tuned.npz"  # to embed with: the best epoch
CACHE: Final = "cache"
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class TrainingContext:
    """What a run works with."""

    folder: Path
    read_products: Callable[[], Sequence[Pictured]]  # asked when a run begins
    open_images: OpenPictures
    compute: Compute
    watch: Watch  # shows progress
    say: Say  # tells a line
    command: str = ""  # that is noted in the card
    notes: str = ""  # on the data and its licence, likewise
    save_seconds: float = 300  # how much work a kill may cost


def finetune(shop: TrainingContext, recipe: TuningRecipe) -> list[dict[str, Any]]:
    """Run, or go on with, the run of a folder; return its history, an entry for each epoch.

    Raises ConfigurationError when the folder holds a run of another recipe, or the catalogue has
    too little to train on; NotEvaluable for a label that no product has.
    """
    shop.folder.mkdir(parents=True, exist_ok=True)
    products = known_products(shop.folder) or shop.read_products()
    before = predecessor(recipe)  # before anything is kept: it may be refused
    parts, labels = divide(products, recipe)
    keep_to(shop.folder, recipe, products)
    hardware = Hardware.of(shop.compute)
    backbone = load_backbone(recipe.backbone, input_size=recipe.input_size)
    features = _features(shop, products, recipe, backbone, hardware)
    _fill(shop, features, 0, np.arange(len(products)))
    material = prepare(parts, labels, features.starting, recipe)
    run = _Run(shop, recipe, before, backbone, hardware, features, material, labels)
    run.go_on()
    return run.learning.history


def _features(
    shop: TrainingContext,
    products: Sequence[Pictured],
    recipe: TuningRecipe,
    backbone: Backbone,
    hardware: Hardware,
) -> Features:
    stem, tail = backbone.split(recipe.tune_from or backbone.tune_from)
    arrays = {
        f"{name}.{key}": tensor.numpy()
        for name, part in (("stem", stem), ("tail", tail))
        for key, tensor in part.state_dict().items()
    }
    frozen = Stem(
        stem,
        tail,
        mean=backbone.preprocessing.mean,
        std=backbone.preprocessing.std,
        bf16_from=backbone.bf16_from,
        hardware=hardware,
    )
    return Features(
        Path(recipe.after or shop.folder) / CACHE,  # what both runs need is there already
        frozen,
        products,
        fingerprint=fingerprint({"precision": hardware.precision}, arrays),
        input_size=backbone.preprocessing.input_size,
        open_images=shop.open_images,
        seed=recipe.seed,
    )


def _fill(shop: TrainingContext, features: Features, view: int, rows: Any) -> None:
    with shop.watch(f"Features, view {view + 1}") as report:
        features.fill(view, rows, report=report)


class _Run:
    """The epochs of one run."""

    def __init__(
        self,
        shop: TrainingContext,
        recipe: TuningRecipe,
        before: TuningRecipe | None,
        backbone: Backbone,
        hardware: Hardware,
        features: Features,
        material: Material,
        labels: Sequence[Labels],
    ) -> None:
        self._shop, self._recipe, self._before, self._backbone = shop, recipe, before, backbone
        self._earlier = read_card(Path(recipe.after))["commands"] if before else []
        self._features, self._material = features, material
        self._judge = Judge(material, labels)
        _, tail = backbone.split(recipe.tune_from or backbone.tune_from)
        self.learning = Learning(tail, recipe, material, features, hardware)

    def go_on(self) -> None:
        """Do what is left to do."""
        self._introduce()
        self._restore_or_begin()
        learning, recipe = self.learning, self._recipe
        for view in range(1, min(learning.epoch, recipe.views)):
            _fill(self._shop, self._features, view, self._material.training)
        while learning.epoch < recipe.epochs and not self._is_stuck():
            if 0 < learning.epoch < recipe.views:
                _fill(self._shop, self._features, learning.epoch, self._material.training)
            self._epoch()

    def _introduce(self) -> None:
        material = self._material
        self._shop.say(
            f"{len(material.training):,} products to train on, {len(material.held_out):,} held "
            f"out, {len(material.unseen):,} of unseen categories; left out: "
            f"{material.duplicates:,} near duplicates of those, {material.unusable:,} without a "
            "usable picture"
        )
        for name, scores in self.baselines.items():
            self._shop.say(f"{name}: {spell(scores)}")

    @cached_property
    def baselines(self) -> dict[str, Scores]:
        """Return the scores of what the network gives before it is tuned."""
        starting = self._features.starting[self._material.judged]
        return {
            "starting features": self._judge.scores(normalise(starting)),
            "the same, whitened": self._judge.scores(self._material.whitening.project(starting)),
        }

    def _restore_or_begin(self) -> None:
        path = self._shop.folder / STATE
        if path.exists():
            self.learning.restore(read_tensors(path))
            return
        if self._before:
            state = read_tensors(Path(self._recipe.after, STATE))
            self.learning.take_over(state, self._before.aims)
            self._save()
            return
        with self._shop.watch("The head alone") as report:
            self.learning.learn_head(report)
        self._save()

    def _is_stuck(self) -> bool:
        """Tell whether the last epochs brought nothing."""
        history = self.learning.history
        return bool(history) and len(history) - best(history)["epoch"] >= self._recipe.patience

    def _epoch(self) -> None:
        learning, epoch = self.learning, self.learning.epoch
        count = learning.steps_an_epoch
        seen = self._recipe.batch_size
        saved = time.monotonic()
        with self._shop.watch(f"Epoch {epoch + 1} of {self._recipe.epochs}") as report:
            report(learning.step % count * seen, count * seen)
            while learning.epoch == epoch:
                seen = learning.learn()
                report(((learning.step - 1) % count + 1) * seen, count * seen)
                if time.monotonic() - saved > self._shop.save_seconds and learning.epoch == epoch:
                    self._save()
                    saved = time.monotonic()
        self._close_epoch(epoch)

    def _close_epoch(self, epoch: int) -> None:
        learning = self.learning
        entry = {
            "epoch": epoch + 1,
            "losses": {
                name: value / learning.steps_an_epoch for name, value in learning.losses.items()
            },
            "seconds": learning.seconds,
            **self._validate(),
        }
        learning.history.append(entry)
        learning.losses.clear()
        learning.seconds = 0
        if best(learning.history) is entry:
            self._checkpoint().save(self._shop.folder / TUNED)
        self._save()
        draw_curves(self._shop.folder, learning.history)
        write_card(self._shop.folder, self._card())
        self._shop.say(
            f"epoch {epoch + 1}: loss {sum(entry['losses'].values()):.3f}; "
            f"{spell(entry['scores'])}; tuned part alone: {spell(entry['alone'])}"
        )

    def _validate(self) -> dict[str, Any]:
        judged = self._material.judged
        with self._shop.watch("Validation") as report:
            tuned = self.learning.embed(judged, report)
        start = self._material.whitening.project(self._features.starting[judged])
        weight = self._recipe.start_weight
        whole = fuse(tuned, start, directions=self.learning.directions, weight=weight)
        scores = self._judge.scores(whole if weight else tuned)
        return {"scores": scores, "alone": self._judge.scores(tuned), "total": total(scores)}

    def _save(self) -> None:
        state = self.learning.state()
        replace_file(self._shop.folder / STATE, lambda draft: torch.save(state, draft))

    def _checkpoint(self) -> Checkpoint:
        network = cast("TunedNetwork", self.learning.averaged.module)
        head, head_bias = network.head.folded()
        return Checkpoint(
            backbone=self._recipe.backbone,
            tune_from=self._recipe.tune_from or self._backbone.tune_from,
            input_size=self._backbone.preprocessing.input_size,
            tail=network.tail_state(),
            head=head,
            head_bias=head_bias,
            directions=np.asarray(self.learning.directions, np.float16),
            mean=self._material.whitening.mean,
            components=self._material.whitening.components,
            start_weight=self._recipe.start_weight,
            card=self._card(),
        )

    def _card(self) -> Mapping[str, Any]:
        return card(
            self._recipe,
            self._material,
            baselines=self.baselines,
            history=self.learning.history,
            commands=[*self._earlier, self._shop.command],
            notes=self._shop.notes,
        )


def spell(scores: Scores) -> str:
    """Write scores on one line."""
    groups = (
        f"{group} " + ", ".join(f"{by} {value:.3f}" for by, value in by_label.items())
        for group, by_label in scores.items()
    )
    return "; ".join(groups) or "nothing to judge by"
