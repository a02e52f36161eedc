"""Tune a pretrained network to a catalogue's own labels: `lookalike train finetune`.

The early layers stay unchanged. Their output for each image is kept on disk, so that an epoch costs
only the remaining layers. Each epoch ends with a validation on products, and whole categories, that
are never trained on. A killed run resumes from its last checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from backend.embedders.backbones import Backbone, load_backbone
from backend.embedders.fingerprints import fingerprint
from backend.lab.evaluation.labels import CatalogueProduct
from backend.lab.training.earlier_run import find_earlier_run
from backend.lab.training.feature_cache import FeatureCache, FrozenStem
from backend.lab.training.hardware import Hardware
from backend.lab.training.tuning_data import label_and_split, prepare_data
from backend.lab.training.tuning_recipe import (
    TuningRecipe,
    keep_recipe,
    read_products_of,
    run_folder,
)
from backend.lab.training.tuning_run import TrainingContext, TuningRun
from backend.lab.training.tuning_trainer import TuningTrainer
from backend.lab.training.validation import Validator

CACHE: Final = "cache"


def finetune(context: TrainingContext, recipe: TuningRecipe) -> list[dict[str, Any]]:
    """Start or resume the run of a folder; return its history, an entry for each epoch.

    Raises ConfigurationError when the folder holds a run of another recipe, or when the catalogue
    has too few products to train on; NotEvaluable for a label that no product has.
    """
    context.folder.mkdir(parents=True, exist_ok=True)
    folder = run_folder(context.folder)
    products = read_products_of(folder) or context.read_products()
    earlier = find_earlier_run(recipe)  # may raise, so before anything is written
    split, labels = label_and_split(products, recipe)
    keep_recipe(folder, recipe, products)
    hardware = Hardware.of(context.compute)
    backbone = load_backbone(recipe.backbone, input_size=recipe.input_size)
    features = _open_features(context, products, recipe, backbone, hardware)
    with context.watch("Features, view 1") as report:
        features.fill(0, np.arange(len(products)), report=report)
    data = prepare_data(split, labels, features.starting, recipe)
    _, tail = backbone.split(recipe.tune_from or backbone.tune_from)
    run = TuningRun(
        context,
        recipe,
        earlier=earlier,
        backbone=backbone,
        features=features,
        data=data,
        validator=Validator(data, labels),
        trainer=TuningTrainer(tail, recipe, data, features, hardware),
    )
    return run.run()


def _open_features(
    context: TrainingContext,
    products: Sequence[CatalogueProduct],
    recipe: TuningRecipe,
    backbone: Backbone,
    hardware: Hardware,
) -> FeatureCache:
    stem, tail = backbone.split(recipe.tune_from or backbone.tune_from)
    arrays = {
        f"{name}.{key}": tensor.numpy()
        for name, part in (("stem", stem), ("tail", tail))
        for key, tensor in part.state_dict().items()
    }
    frozen = FrozenStem(
        stem,
        tail,
        mean=backbone.preprocessing.mean,
        std=backbone.preprocessing.std,
        bf16_from=backbone.bf16_from,
        hardware=hardware,
    )
    return FeatureCache(
        Path(recipe.after or context.folder) / CACHE,  # an earlier run has filled it already
        frozen,
        products,
        fingerprint=fingerprint({"precision": hardware.precision}, arrays),
        input_size=backbone.preprocessing.input_size,
        open_images=context.open_images,
        seed=recipe.seed,
    )
