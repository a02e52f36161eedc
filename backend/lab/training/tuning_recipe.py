"""The options that decide a tuned network, together with the catalogue."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from backend.images.decode import Size
from backend.lab.evaluation.labels import CatalogueProduct
from backend.lab.training.objective import Aim, Weights
from backend.lab.training.run_folder import PRODUCTS, RECIPE, RunFolder

CHECKPOINT: Final = "state.pt"  # to resume from

FASHION: Final = (
    Aim(by="article_type", weight=1),
    Aim(by="sub_category", weight=0.2),
    Aim(by="base_colour+article_type", weight=2),
    Aim(by="gender+article_type", weight=1),
)


@dataclass(frozen=True, kw_only=True)
class TuningRecipe:
    """The options of a run. Rates and decay are those of the optimizer, AdamW."""

    backbone: str = "efficientnet-lite0"
    tune_from: str = ""  # a layer; empty: the backbone's own choice
    input_size: Size | None = None  # (height, width) in pixels; None: the backbone's own
    size: int = 256  # dimensions of the tuned part, and the most of the starting features
    aims: tuple[Aim, ...] = FASHION  # unseen categories are those of the first label
    weights: Weights = field(default_factory=Weights)
    held_out: float = 0.1  # fraction of products
    unseen: tuple[str, ...] | float = 0.05  # categories, or a fraction of them
    near_duplicate: float = 0.98  # not trained on: this cosine or more to a validation product
    after: str = ""  # the folder of a run whose weights this run starts from
    epochs: int = 15
    head_epochs: int = 6  # of the head alone, before the others; none with `after`
    patience: int = 5  # ends after so many epochs without a better score
    batch_size: int = 128
    views: int = 3  # of each image: the whole image, and crops
    tail_rate: float = 3e-4
    head_rate: float = 1e-3
    head_alone_rate: float = 3e-3
    weight_decay: float = 1e-2
    warm_up: int = 50  # steps
    averaging: float = 0.998  # decay of the weights' moving average, for a step
    dropout: float = 0.2  # before the head
    start_weight: float = 0.55  # of the starting features beside the tuned ones
    seed: int = 0

    def plain(self) -> dict[str, Any]:
        """Return the recipe as JSON values."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return values


def run_folder(path: Path) -> RunFolder:
    """Return the folder of a tuning run."""
    return RunFolder(path, CHECKPOINT)


def read_products_of(folder: RunFolder) -> list[CatalogueProduct]:
    """Return the products that a run began with; none where the folder holds no run.

    A catalogue changes while a run goes on; the products of the run do not.
    """
    rows = folder.read_json(PRODUCTS) or []
    return [CatalogueProduct(**row | {"fields": tuple(row["fields"])}) for row in rows]


def keep_recipe(
    folder: RunFolder, recipe: TuningRecipe, products: Sequence[CatalogueProduct]
) -> None:
    """Write down the recipe and the products that a new run begins with.

    Raises ConfigurationError where the folder holds a run of another recipe.
    """
    begun = folder.read_json(RECIPE)
    if folder.read_json(PRODUCTS) is None:
        folder.write_json(PRODUCTS, [asdict(product) for product in products], indent=None)
    if begun is None:
        folder.write_json(RECIPE, recipe.plain())
    else:
        folder.check_recipe(begun, recipe.plain())
