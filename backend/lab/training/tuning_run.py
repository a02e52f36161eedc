"""The epochs of a tuning run: training, validation, and the files that each epoch leaves."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, cast

import numpy as np

from backend.embedders import Compute
from backend.embedders.backbones import Backbone
from backend.embedders.checkpoint import Checkpoint
from backend.embedders.fusion import fuse
from backend.embedders.pixels import normalise
from backend.lab.evaluation.labels import CatalogueProduct
from backend.lab.training.earlier_run import EarlierRun
from backend.lab.training.feature_cache import FeatureCache
from backend.lab.training.model_card import make_card, write_card
from backend.lab.training.tuned_network import TunedNetwork
from backend.lab.training.tuning_curves import draw_curves
from backend.lab.training.tuning_data import TuningData
from backend.lab.training.tuning_recipe import TuningRecipe, run_folder
from backend.lab.training.tuning_trainer import TuningTrainer
from backend.lab.training.validation import Scores, Validator, best, total
from backend.lab.types import OpenImages, Watch

TUNED: Final = "tuned.npz"  # the best epoch, to embed with


@dataclass(frozen=True, kw_only=True)
class TrainingContext:
    """What a run needs besides its recipe."""

    folder: Path
    read_products: Callable[[], Sequence[CatalogueProduct]]  # called when a run begins
    open_images: OpenImages
    compute: Compute
    watch: Watch
    print_line: Callable[[str], None]
    command: str = ""  # for the card
    notes: str = ""  # on the data and its licence, for the card
    save_seconds: float = 300  # between checkpoints: what a killed run may lose


class TuningRun:
    """A run from its last checkpoint, or its start, to its end."""

    def __init__(
        self,
        context: TrainingContext,
        recipe: TuningRecipe,
        *,
        earlier: EarlierRun | None,
        backbone: Backbone,
        features: FeatureCache,
        data: TuningData,
        validator: Validator,
        trainer: TuningTrainer,
    ) -> None:
        self._context, self._recipe, self._earlier = context, recipe, earlier
        self._backbone, self._features, self._data = backbone, features, data
        self._validator, self._trainer = validator, trainer
        self._folder = run_folder(context.folder)

    def run(self) -> list[dict[str, Any]]:
        """Do all epochs that are left; return the history of the whole run."""
        self._print_data()
        self._restore_or_begin()
        trainer, recipe = self._trainer, self._recipe
        for view in range(1, min(trainer.epoch, recipe.views)):
            self._fill_view(view)
        while trainer.epoch < recipe.epochs and not self._stopped_improving():
            if 0 < trainer.epoch < recipe.views:
                self._fill_view(trainer.epoch)
            self._run_epoch()
        return trainer.history

    def _print_data(self) -> None:
        data = self._data
        self._context.print_line(
            f"{len(data.training):,} products to train on, {len(data.held_out):,} held out, "
            f"{len(data.unseen):,} of unseen categories; left out: {data.duplicates:,} near "
            f"duplicates of these, {data.unusable:,} without a usable image"
        )
        for name, scores in self.baselines.items():
            self._context.print_line(f"{name}: {format_scores(scores)}")

    @cached_property
    def baselines(self) -> dict[str, Scores]:
        """The scores of the network before it is tuned."""
        starting = self._features.starting[self._data.validation]
        whitened = self._data.whitening.project(starting)
        return {
            "starting features": self._validator.scores(normalise(starting)),
            "the same, whitened": self._validator.scores(whitened),
        }

    def _restore_or_begin(self) -> None:
        state = self._folder.read_checkpoint()
        if state is not None:
            self._trainer.restore(state)
            return
        if self._earlier:
            self._trainer.load_weights(self._earlier.state(), self._earlier.aims)
        else:
            with self._context.watch("The head alone") as report:
                self._trainer.train_head(report)
        self._save()

    def _fill_view(self, view: int) -> None:
        with self._context.watch(f"Features, view {view + 1}") as report:
            self._features.fill(view, self._data.training, report=report)

    def _stopped_improving(self) -> bool:
        history = self._trainer.history
        return bool(history) and len(history) - best(history)["epoch"] >= self._recipe.patience

    def _run_epoch(self) -> None:
        trainer, epoch = self._trainer, self._trainer.epoch
        steps = trainer.steps_per_epoch
        batch = self._recipe.batch_size
        saved = time.monotonic()
        with self._context.watch(f"Epoch {epoch + 1} of {self._recipe.epochs}") as report:
            report(trainer.step % steps * batch, steps * batch)
            while trainer.epoch == epoch:
                batch = trainer.train_step()
                report(((trainer.step - 1) % steps + 1) * batch, steps * batch)
                due = time.monotonic() - saved > self._context.save_seconds
                if due and trainer.epoch == epoch:
                    self._save()
                    saved = time.monotonic()
        self._close_epoch(epoch)

    def _close_epoch(self, epoch: int) -> None:
        trainer, context = self._trainer, self._context
        steps = trainer.steps_per_epoch
        entry = {
            "epoch": epoch + 1,
            "losses": {name: value / steps for name, value in trainer.losses.items()},
            "seconds": trainer.seconds,
            **self._validate(),
        }
        trainer.history.append(entry)
        trainer.losses.clear()
        trainer.seconds = 0
        if best(trainer.history) is entry:
            self._result().save(context.folder / TUNED)
        self._save()
        draw_curves(context.folder, trainer.history)
        write_card(self._folder, self._card())
        context.print_line(
            f"epoch {epoch + 1}: loss {sum(entry['losses'].values()):.3f}; "
            f"{format_scores(entry['scores'])}; tuned part alone: {format_scores(entry['alone'])}"
        )

    def _validate(self) -> dict[str, Any]:
        rows = self._data.validation
        with self._context.watch("Validation") as report:
            tuned = self._trainer.embed(rows, report)
        start = self._data.whitening.project(self._features.starting[rows])
        weight = self._recipe.start_weight
        whole = fuse(tuned, start, directions=self._trainer.directions, weight=weight)
        scores = self._validator.scores(whole if weight else tuned)
        return {"scores": scores, "alone": self._validator.scores(tuned), "total": total(scores)}

    def _save(self) -> None:
        self._folder.save_checkpoint(self._trainer.state())

    def _result(self) -> Checkpoint:
        network = cast("TunedNetwork", self._trainer.averaged.module)
        head, head_bias = network.head.folded()
        return Checkpoint(
            backbone=self._recipe.backbone,
            tune_from=self._recipe.tune_from or self._backbone.tune_from,
            input_size=self._backbone.preprocessing.input_size,
            tail=network.tail_state(),
            head=head,
            head_bias=head_bias,
            directions=np.asarray(self._trainer.directions, np.float16),
            mean=self._data.whitening.mean,
            components=self._data.whitening.components,
            start_weight=self._recipe.start_weight,
            card=self._card(),
        )

    def _card(self) -> Mapping[str, Any]:
        earlier = self._earlier.commands if self._earlier else ()
        return make_card(
            self._recipe,
            self._data,
            baselines=self.baselines,
            history=self._trainer.history,
            commands=[*earlier, self._context.command],
            notes=self._context.notes,
        )


def format_scores(scores: Scores) -> str:
    """Return scores as one line of text."""
    groups = (
        f"{group} " + ", ".join(f"{by} {value:.3f}" for by, value in by_label.items())
        for group, by_label in scores.items()
    )
    return "; ".join(groups) or "no products to validate with"
