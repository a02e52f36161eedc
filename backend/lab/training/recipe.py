"""What decides a tuned network, beside the catalogue; and the folder of a run that keeps to it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from backend.errors import ConfigurationError
from backend.files import replace_file
from backend.images.decode import Size
from backend.lab.evaluation.products import Pictured
from backend.lab.training.objective import Aim, Weights

RECIPE: Final = "recipe.json"
PRODUCTS: Final = "products.json"

FASHION: Final = (
    Aim(by="article_type", weight=1),
    Aim(by="sub_category", weight=0.2),
    Aim(by="base_colour+article_type", weight=2),
    Aim(by="gender+article_type", weight=1),
)


@dataclass(frozen=True, kw_only=True)
class TuningRecipe:
    """A run's options. Figures without a unit are the optimizer's, AdamW."""

    backbone: str = "efficientnet-lite0"
    tune_from: str = ""  # a layer; empty: the backbone's own choice
    input_size: Size | None = None  # (height, width) in pixels; None: the backbone's own
    size: int = 256  # of the tuned embedding, and at most of the starting features beside it
    aims: tuple[Aim, ...] = FASHION  # the first one is what unseen categories are of
    weights: Weights = field(default_factory=Weights)
    held_out: float = 0.1  # fraction of products
    unseen: tuple[str, ...] | float = 0.05  # categories, or a fraction of them
    near_duplicate: float = 0.98  # cosine to a held-out product from which one is not trained on
    after: str = ""  # the folder of a run whose weights this one begins with
    epochs: int = 15
    head_epochs: int = 6  # of the head alone, before; not after another run
    patience: int = 5  # epochs without a better score before it ends early
    batch_size: int = 128
    views: int = 3  # of each picture: the whole and so many crops less one
    tail_rate: float = 3e-4
    head_rate: float = 1e-3
    head_alone_rate: float = 3e-3
    weight_decay: float = 1e-2
    warm_up: int = 50  # steps
    averaging: float = 0.998  # of the weights, from step to step
    dropout: float = 0.2  # before the head
    start_weight: float = 0.55  # of the starting features beside the tuned ones
    seed: int = 0

    def plain(self) -> dict[str, Any]:
        """Return all of it as JSON knows it."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return values


SHARED: Final = (
    *("backbone", "tune_from", "input_size", "size"),
    *("held_out", "unseen", "near_duplicate", "seed"),
)
"""What two runs must have in common for one to go on where the other ended."""


def predecessor(recipe: TuningRecipe) -> TuningRecipe | None:
    """Return the recipe of the run that this one goes on from.

    Raises ConfigurationError if there is none in that folder, or one of another network, or one
    that was judged by other products: it would have been trained on those that judge now.
    """
    if not recipe.after:
        return None
    path = Path(recipe.after, RECIPE)
    try:
        theirs = json.loads(path.read_text())
    except OSError as error:
        raise ConfigurationError(
            f"there is no run to go on from: {path}: {error.strerror}"
        ) from None
    ours = recipe.plain()
    differing = _differing(theirs, {name: ours[name] for name in SHARED})
    if differing:
        raise ConfigurationError(f"{recipe.after} cannot be gone on from: it has {differing[0]}")
    return replace(recipe, aims=tuple(Aim(**aim) for aim in theirs["aims"]))


def known_products(folder: Path) -> list[Pictured]:
    """Return the products that a folder's run began with: a catalogue changes, a run does not."""
    path = folder / PRODUCTS
    if not path.exists():
        return []
    rows = json.loads(path.read_text("utf-8"))
    return [Pictured(**row | {"fields": tuple(row["fields"])}) for row in rows]


def keep_to(folder: Path, recipe: TuningRecipe, products: Sequence[Pictured]) -> None:
    """Note what a new run begins with.

    Raises ConfigurationError where the folder has a run of another recipe.
    """
    path, ours = folder / RECIPE, recipe.plain()
    if not (folder / PRODUCTS).exists():
        rows = json.dumps([asdict(product) for product in products])
        replace_file(folder / PRODUCTS, lambda draft: draft.write_text(rows, "utf-8"))
    if not path.exists():
        replace_file(path, lambda draft: draft.write_text(json.dumps(ours, indent=1) + "\n"))
        return
    differing = _differing(json.loads(path.read_text()), ours)
    if differing:
        raise ConfigurationError(
            f"{folder} holds a run with {'; '.join(differing)}: name another folder, or go on with "
            "the same options"
        )


def _differing(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[str]:
    return [
        f"{name} {theirs.get(name)}, not {ours[name]}"
        for name in ours
        if ours[name] != theirs.get(name)
    ]
