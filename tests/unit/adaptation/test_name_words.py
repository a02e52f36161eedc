"""The words of names: which products they join, and which axes predict them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from backend.adaptation.choosing import Shop, choose, keep_colours, words_to_read
from backend.adaptation.fitting import Codes
from backend.adaptation.judging import COLOURS, Judge
from backend.adaptation.name_words import guess_groups, predicting_axes, words_of_names
from backend.embedders import FloatArray
from backend.embedders.block_statistics import BlockStatistics
from backend.embedders.kept_features import COLOUR, LOOK, SIZE

THINGS = ("dress", "shirt", "jacket", "boots", "hat", "scarf", "skirt", "belt")
PRODUCTS = 800
NONE = np.full(4, -1)


def plain(*, size: int = 320, colour: float = 0.1) -> BlockStatistics:
    """A map that takes the first axes as they are."""
    return BlockStatistics(
        mean=np.zeros(LOOK.stop, np.float32),
        components=np.eye(size, LOOK.stop, dtype=np.float16),
        kind_weight=0,
        colour_weight=colour,
    )


def features_of(axes: npt.NDArray[np.floating]) -> FloatArray:
    """Features with these looks; colours are random."""
    random = np.random.default_rng(1)
    features = random.normal(0, 1e-5, (len(axes), SIZE)).astype(np.float32)
    features[:, : axes.shape[1]] = axes
    features[:, COLOUR] = random.normal(0, 1, (len(axes), COLOUR.stop - COLOUR.start))
    return features


def quiet_types() -> tuple[FloatArray, Codes]:
    """Features of which eight axes tell the types of products, beside 24 that tell nothing."""
    random = np.random.default_rng(0)
    types = np.arange(PRODUCTS) % len(THINGS)
    loud = random.normal(0, 1, (PRODUCTS, 24))
    quiet = 2 * np.eye(len(THINGS))[types] + random.normal(0, 0.3, (PRODUCTS, len(THINGS)))
    return features_of(np.hstack([loud, quiet])), types


def test_names_that_differ_in_a_colour_are_one_group() -> None:
    words = words_of_names(
        ["Ada Dress Red", "ada dress dark blue", None, "Ada Skirt", "Blue"],
        ["Red", "Dark Blue", None, "Red", "Red"],
    )
    assert words[0] == {"ada", "dress"}
    assert guess_groups(words).tolist() == [0, 0, -1, 1, -1]


def test_axes_that_foretell_words_do_so_for_names_that_were_not_read() -> None:
    features, types = quiet_types()
    looks = features[:, :32]
    words = words_of_names([f"{THINGS[kind]} {row}" for row, kind in enumerate(types)], [])
    read = PRODUCTS // 2
    found = looks[read:] @ predicting_axes(looks[:read], words[:read])

    def share_right(vectors: npt.NDArray[np.floating]) -> float:
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        scores = unit @ unit.T
        np.fill_diagonal(scores, -2)
        return float((types[read:][scores.argmax(axis=1)] == types[read:]).mean())

    assert share_right(found) > 0.95
    assert share_right(looks[read:]) < 0.9


@pytest.mark.slow
def test_words_are_chosen_where_they_help_products_whose_names_were_not_read() -> None:
    features, types = quiet_types()
    words = words_of_names([f"{THINGS[kind]} model{row}" for row, kind in enumerate(types)], [])
    labels = {"article_type": types}
    shop = Shop(
        features=features, labels=labels, groups=guess_groups(words), words=words, guessed=True
    )
    choice = choose(shop, plain())
    assert choice.mix.words > 0
    assert choice.is_better
    assert choice.statistics.card["words"] == choice.mix.words


def test_a_name_that_a_query_has_is_not_read() -> None:
    words = words_of_names(["dress", "shirt", "dress", None], [])
    shop = Shop(features=np.zeros((4, SIZE), np.float32), labels={}, groups=NONE, words=words)
    fitted_on = np.array([True, True, False, True])
    assert words_to_read(shop, fitted_on) == [set(), {"shirt"}, set(), set()]


@pytest.mark.parametrize("guessed", [True, False], ids=["guessed", "said"])
def test_colours_count_more_where_the_map_ignores_them(guessed: bool) -> None:
    """A shop that names its variants has said that their colours do not matter."""
    random = np.random.default_rng(0)
    types, colours = np.arange(PRODUCTS) % 4, np.arange(PRODUCTS) // 4 % 5
    looks = np.eye(4)[types] + random.normal(0, 0.2, (PRODUCTS, 4))
    features = features_of(looks)
    features[:, COLOUR] = np.eye(COLOUR.stop - COLOUR.start)[colours]
    labels = {"article_type": types, COLOURS: 5 * types + colours}
    groups = np.arange(PRODUCTS) // 2
    shop = Shop(features=features, labels=labels, groups=groups, guessed=guessed)
    judge = Judge(labels=labels, groups=groups, queries=np.arange(100))
    chosen = keep_colours(judge, shop, plain(colour=0.05), {COLOURS: 1.0})
    assert (chosen.colour_weight > 0.05) == guessed
