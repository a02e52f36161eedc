"""A shop's statistics: fitted on half of its groups, judged on the others, kept if better."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.adaptation.choosing import Shop, choose, even_if_no_worse
from backend.adaptation.fitting import GROUPS, WHITENED, LookFitter, even_colours
from backend.adaptation.judging import VARIANTS, Judge
from backend.embedders.block_statistics import BlockStatistics
from backend.embedders.kept_features import COLOUR, LOOK, SIZE
from backend.embedders.kept_rows import WITH_ROWS
from backend.embedders.lookalike_blocks import shipped_statistics
from backend.errors import WeightsUnavailable

PRODUCTS, VARIANTS_EACH = 200, 3


def made_shop(*, groups: bool = True) -> Shop:
    """A shop whose variants differ in 24 axes, and styles in 12 others, by as much."""
    random = np.random.default_rng(0)
    codes = np.repeat(np.arange(PRODUCTS), VARIANTS_EACH)
    features = random.normal(0, 1e-5, (len(codes), SIZE)).astype(np.float32)
    features[:, :24] = random.normal(0, 0.05, (len(codes), 24))
    features[:, 24:36] = random.normal(0, 0.05, (PRODUCTS, 12))[codes]
    features[:, COLOUR] = random.normal(0, 1, (len(codes), COLOUR.stop - COLOUR.start))
    known = codes if groups else np.full(len(codes), -1)
    return Shop(features=features, labels={"article_type": codes % 8}, groups=known)


def plain() -> BlockStatistics:
    """A map that takes the first axes as they are."""
    return BlockStatistics(
        mean=np.zeros(LOOK.stop, np.float32),
        components=np.eye(320, LOOK.stop, dtype=np.float16),
        kind_weight=0.4,
        colour_weight=0.1,
    )


def test_groups_tell_what_to_ignore_on_groups_that_were_not_fitted_on() -> None:
    shop = made_shop()
    look = shop.features[:, :48]
    known = shop.groups < PRODUCTS // 2
    fitter = LookFitter(look, np.where(known, shop.groups, -1))
    judge = Judge(labels={}, groups=shop.groups, queries=np.flatnonzero(~known))
    recalls = {
        mix.name: judge.figures(fitter.fit(mix)(look))[VARIANTS] for mix in (WHITENED, GROUPS)
    }
    assert recalls["groups"] > recalls["whitened"] + 0.1


@pytest.mark.slow
def test_what_is_chosen_is_better_than_what_there_is() -> None:
    choice = choose(made_shop(), plain())
    assert choice.is_better
    assert choice.mix.name == "groups"
    assert choice.after[VARIANTS] > choice.before[VARIANTS] + 0.1
    assert choice.statistics.card["after"] == choice.after


@pytest.mark.slow
def test_an_adapted_map_is_replaced_where_the_shop_has_grown_and_stays_where_it_has_not() -> None:
    shop = made_shop()
    few = shop.groups < 80  # as many products as there were
    small = replace(
        shop,
        features=shop.features[few],
        labels={name: codes[few] for name, codes in shop.labels.items()},
        groups=shop.groups[few],
    )
    adapted = choose(small, plain()).statistics
    grown = choose(shop, adapted, fitted_here=True)
    assert grown.is_better
    assert not choose(shop, grown.statistics, fitted_here=True).is_better


@pytest.mark.slow
def test_rows_of_images_are_fitted_on_where_they_are_kept() -> None:
    shop = made_shop()
    random = np.random.default_rng(1)
    rows = random.normal(0, 0.05, (PRODUCTS, WITH_ROWS - SIZE))[shop.groups]  # tell variants
    wide = replace(shop, features=np.hstack([shop.features, rows], dtype=np.float32))
    plain_choice, choice = choose(shop, plain()), choose(wide, plain())
    assert (plain_choice.statistics.reads_rows, choice.statistics.reads_rows) == (False, True)
    assert choice.after[VARIANTS] > plain_choice.after[VARIANTS]
    assert choice.statistics.project(wide.features).shape == (len(rows), 512)


def test_colours_are_evened_out_unless_the_labels_say_that_it_is_worse() -> None:
    shop = made_shop(groups=False)
    judge = Judge(labels=shop.labels, groups=shop.groups, queries=np.arange(300))
    assert even_if_no_worse(judge, shop, replace(plain(), colour_weight=1e-3)).colour_map
    features = shop.features.copy()
    features[:, COLOUR] *= 0.01
    features[:, COLOUR.start] = shop.labels["article_type"] - 3.5  # only this axis tells the type
    told = replace(shop, features=features)
    assert even_if_no_worse(judge, told, replace(plain(), colour_weight=5.0)).colour_map is None
    features[:, COLOUR] = features[0, COLOUR]
    assert even_if_no_worse(judge, told, plain()).colour_map is None


def test_a_shop_without_groups_is_judged_by_its_labels_alone() -> None:
    shop = made_shop(groups=False)
    judge = Judge(labels=shop.labels, groups=shop.groups, queries=np.arange(20))
    assert set(judge.figures(shop.features[:, :48])) == {"article_type"}


def test_figures_are_those_of_a_ranking_by_hand() -> None:
    vectors = np.array([[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9]], np.float32)
    labels = {"article_type": np.array([0, 1, 1, 0])}
    judge = Judge(labels=labels, groups=np.array([7, 7, 2, -1]), queries=np.array([0, 1, 2]))
    figures = judge.figures(vectors)
    # the one relevant neighbour has rank 2 for the first, 3 for the second and 2 for the third
    assert figures["article_type"] == pytest.approx((1 / 2 + 1 / 3 + 1 / 2) / 3)
    assert figures[VARIANTS] == 1.0


def test_blocks_have_the_same_length_in_every_vector() -> None:
    statistics = shipped_statistics()
    vectors = statistics.project(made_shop().features)
    assert vectors.shape[1] == 512
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    for _, start, stop in statistics.blocks:
        lengths = np.linalg.norm(vectors[:, start:stop], axis=1)
        assert np.allclose(lengths, lengths[0], atol=1e-5)


def test_statistics_come_back_from_their_bytes() -> None:
    statistics = plain()
    colours = made_shop().features[:, COLOUR]
    evened = replace(statistics, colour_map=even_colours(colours))
    assert evened.digest != statistics.digest
    for each in (statistics, evened):
        read = BlockStatistics.from_bytes(each.to_bytes())
        assert read.digest == each.digest
        features = made_shop().features[:5]
        assert np.array_equal(read.project(features), each.project(features))
    with pytest.raises(WeightsUnavailable, match="cannot be read"):
        BlockStatistics.from_bytes(b"something else")
