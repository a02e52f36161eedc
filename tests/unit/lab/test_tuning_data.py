"""Which products a run trains on, which ones validate it, and their scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.drawn_products import TINY, Window

from backend.embedders.pixels import normalise
from backend.errors import ConfigurationError, NotEvaluable
from backend.lab.evaluation.labels import Labels
from backend.lab.evaluation.splits import Split, fraction_of
from backend.lab.training.objective import MISSING, Aim
from backend.lab.training.tuning_data import (
    TuningData,
    label_and_split,
    near_duplicates,
    prepare_data,
)
from backend.lab.training.tuning_recipe import TuningRecipe
from backend.lab.training.validation import Validator, total
from backend.lab.training.whitening import fit_whitening

WINDOW = Window(120)


def features(count: int = 120, size: int = 40) -> np.ndarray:
    return np.random.default_rng(0).normal(1, 1, (count, size)).astype(np.float16)


def tuning_data(recipe: TuningRecipe = TINY, starting: np.ndarray | None = None) -> TuningData:
    parts, labels = label_and_split(WINDOW.products, recipe)
    return prepare_data(parts, labels, features() if starting is None else starting, recipe)


def test_no_product_is_on_two_sides() -> None:
    made = tuning_data()

    sides = [set(rows.tolist()) for rows in (made.training, made.held_out, made.unseen)]
    assert sum(map(len, sides)) == len(set.union(*sides)) == 120
    assert all(sides)


def test_whole_categories_are_never_trained_on() -> None:
    made = tuning_data(replace(TINY, unseen=("Jeans", "Watches")))

    types = np.array([product.value("article_type") for product in WINDOW.products])
    assert set(types[made.unseen]) == {"Jeans", "Watches"}
    assert not {"Jeans", "Watches"} & set(types[made.training])


def test_a_product_is_held_out_by_its_sku_alone() -> None:
    made = tuning_data()

    held_out = {WINDOW.products[row].sku for row in made.held_out}
    assert held_out
    assert all(fraction_of(sku, seed=0) < TINY.held_out for sku in held_out)


def test_a_twin_of_a_judged_product_is_not_trained_on() -> None:
    apart = tuning_data()
    starting = features()
    twin, judged = apart.training[0], apart.held_out[0]
    starting[twin] = 1.01 * starting[judged]

    made = tuning_data(starting=starting)

    assert made.duplicates == 1
    assert set(apart.training) - set(made.training) == {twin}
    assert judged in made.held_out


def test_near_duplicates_are_told_by_their_cosine() -> None:
    rows = np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32)

    assert near_duplicates(rows, rows[:1], 0.6).tolist() == [True, True, False]
    assert not near_duplicates(rows, rows[:0], 0.6).any()


def test_a_product_without_a_usable_image_is_on_no_side() -> None:
    starting = features()
    starting[[3, 4]] = 0

    made = tuning_data(starting=starting)

    assert made.unusable == 2
    assert not {3, 4} & {*made.training, *made.validation}


def test_classes_are_those_that_training_has() -> None:
    made = tuning_data()

    for aim, count in enumerate(made.classes):
        assert set(made.targets[made.training, aim]) - {MISSING} == set(range(count))
    assert set(made.targets[made.unseen, 0]) == {MISSING}


def test_a_catalogue_of_next_to_nothing_is_refused() -> None:
    few = Split(
        training=np.arange(120) < 5, held_out=np.arange(120) >= 5, unseen=np.zeros(120, bool)
    )
    _, labels = label_and_split(WINDOW.products, TINY)

    with pytest.raises(ConfigurationError, match="only 5 products to train on"):
        prepare_data(few, labels, features(), TINY)


def test_a_label_that_no_product_has_is_refused() -> None:
    with pytest.raises(NotEvaluable, match="no product has 'usage'"):
        label_and_split(WINDOW.products, replace(TINY, aims=(Aim(by="usage", weight=1),)))


def test_whitened_features_have_no_favourite_direction() -> None:
    rng = np.random.default_rng(0)
    rows = normalise(rng.normal(size=(4000, 6)) * [9, 5, 3, 1, 1, 1] + 4)

    whitening = fit_whitening(rows, size=4)
    centred = (rows - whitening.mean.astype(np.float32)) @ whitening.components.T.astype(np.float32)

    assert np.cov(centred, rowvar=False) == pytest.approx(np.eye(4), abs=0.05)
    assert np.linalg.norm(whitening.project(rows), axis=1) == pytest.approx(1, abs=1e-5)


def test_few_products_give_fewer_directions() -> None:
    assert fit_whitening(normalise(features(20)), size=256).components.shape == (10, 40)


# --- how good it is ------------------------------------------------------------------------


def validator_of(codes: list[int], seen: int) -> Validator:
    rows = np.arange(len(codes))
    made = replace(tuning_data(), held_out=rows[:seen], unseen=rows[seen:])
    names = [str(code) for code in range(max(codes) + 1)]
    return Validator(made, [Labels(by="type", names=names, codes=np.array(codes))])


def test_seen_and_unseen_queries_are_scored_apart_in_one_index() -> None:
    angles = np.radians([0, 10, 90, 95, 45, 46])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    scores = validator_of([0, 0, 1, 1, 2, 3], seen=4).scores(vectors)

    assert scores["seen"] == {"type": pytest.approx(1)}
    assert "unseen" not in scores  # nothing is relevant there
    assert validator_of([0, 1, 1, 0, 2, 2], seen=4).scores(vectors)["unseen"][
        "type"
    ] == pytest.approx(1)


def test_the_total_counts_the_first_label_alone_of_unseen_categories() -> None:
    scores = {"seen": {"type": 0.7, "colour+type": 0.4}, "unseen": {"type": 0.7, "colour+type": 0}}

    assert total(scores) == pytest.approx(0.6)
    assert total({}) == 0
