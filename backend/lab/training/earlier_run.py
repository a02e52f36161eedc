"""The run whose weights another run starts from: `lookalike train finetune --after FOLDER`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from backend.embedders.weights import read_tensors
from backend.errors import ConfigurationError
from backend.lab.training.objective import Aim
from backend.lab.training.run_folder import CARD, RECIPE, differing_options
from backend.lab.training.tuning_recipe import CHECKPOINT, TuningRecipe, run_folder

SHARED: Final = (
    *("backbone", "tune_from", "input_size", "size"),
    *("held_out", "unseen", "near_duplicate", "seed"),
)
"""The options that a run must share with the run whose weights it starts from."""


@dataclass(frozen=True, kw_only=True)
class EarlierRun:
    """A finished run, or one that has finished an epoch."""

    folder: Path
    aims: Sequence[Aim]
    commands: Sequence[str]  # that made it

    def state(self) -> Any:
        """Read its checkpoint. Raises WeightsUnavailable."""
        return read_tensors(self.folder / CHECKPOINT)


def find_earlier_run(recipe: TuningRecipe) -> EarlierRun | None:
    """Return the run in the folder `recipe.after`; None where that is empty.

    Raises ConfigurationError if the folder holds no run, or none that has finished an epoch, or one
    with another network or another split: that one was trained on products that now validate.
    """
    if not recipe.after:
        return None
    folder = run_folder(Path(recipe.after))
    theirs, ours = folder.read_json(RECIPE), recipe.plain()
    if theirs is None:
        raise ConfigurationError(f"there is no run to start from in {folder.path}")
    differing = differing_options(theirs, {name: ours[name] for name in SHARED})
    if differing:
        raise ConfigurationError(
            f"a run cannot start from the one in {folder.path}: it has {differing[0]}"
        )
    card = folder.read_json(CARD)
    if card is None:
        raise ConfigurationError(f"the run in {folder.path} has not finished an epoch yet")
    aims = [Aim(**aim) for aim in theirs["aims"]]
    return EarlierRun(folder=folder.path, aims=aims, commands=card["commands"])
