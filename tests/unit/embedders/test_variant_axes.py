"""The directions in which variants differ: learnt on one shop, and told to others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backend.adaptation.choosing import Shop
from backend.adaptation.fitting import NEIGHBOURS, LookFitter, even_colours
from backend.embedders import variant_axes
from backend.embedders.kept_features import SIZE
from backend.embedders.kept_rows import OF_LOOK_WITH_ROWS, WITH_ROWS
from backend.embedders.variant_axes import MOST_AXES, VariantAxes, shipped_variants
from backend.errors import NotTrainable, WeightsUnavailable
from backend.lab.training.variants import learn


def test_the_first_axes_of_a_covariance_are_kept_and_the_rest_is_one_number() -> None:
    random = np.random.default_rng(0)
    drawn = random.normal(size=(400, 200)) * np.linspace(3, 0.1, 200)
    covariance = drawn.T @ drawn / 400
    kept = VariantAxes.of(covariance)
    assert kept.axes.shape == (200, MOST_AXES)
    assert np.trace(kept.covariance) == pytest.approx(np.trace(covariance), rel=0.01)
    first = np.linalg.eigh(covariance)[1][:, -1]
    assert first @ kept.covariance @ first == pytest.approx(first @ covariance @ first, rel=0.01)


def test_a_file_of_axes_that_is_lost_is_named_and_one_that_was_written_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(variant_axes, "FILE", tmp_path / "axes.npz")
    with pytest.raises(WeightsUnavailable, match=r"axes\.npz"):
        shipped_variants.__wrapped__()
    written = VariantAxes.of(np.diag(np.arange(1.0, 301.0)))
    written.write(tmp_path / "axes.npz")
    assert np.array_equal(shipped_variants.__wrapped__().covariance, written.covariance)


def test_what_differs_between_variants_elsewhere_counts_less_in_a_shop_without_groups() -> None:
    axis = shipped_variants().axes[:, 0].astype(np.float32)
    looks = np.random.default_rng(0).normal(size=(600, OF_LOOK_WITH_ROWS)).astype(np.float32)
    components = LookFitter(looks, np.full(len(looks), -1)).fit(NEIGHBOURS).components
    along, elsewhere = (np.linalg.norm(components @ it) for it in (axis, np.roll(axis, 1)))
    assert along < 0.8 * elsewhere


def test_axes_are_learnt_from_the_groups_of_a_shop() -> None:
    random = np.random.default_rng(0)
    features = np.zeros((600, WITH_ROWS), np.float32)
    features[:, SIZE:] = np.repeat(random.normal(size=(300, WITH_ROWS - SIZE)), 2, axis=0)
    features[::2, 5] = 3  # what differs within every group
    groups = np.arange(600) // 2
    shop = Shop(features=features, labels={}, groups=groups)
    learnt = learn(shop)
    assert abs(learnt.axes[5, 0]) > 0.99
    assert learnt.variances[0] > 100 * learnt.rest
    with pytest.raises(NotTrainable, match="200 are needed"):
        learn(Shop(features=features, labels={}, groups=np.arange(600)))


def test_colours_are_evened_out_in_part() -> None:
    random = np.random.default_rng(0)
    colours = (random.normal(size=(2_000, 64)) * np.linspace(1, 10, 64) + 5).astype(np.float32)
    mapped = even_colours(colours)(colours)
    before, after = (np.linalg.eigvalsh(np.cov(it.T)) for it in (colours, mapped))
    assert np.abs(mapped.mean(axis=0)).max() < 1e-3 * np.abs(mapped).max()
    assert 0.5 < np.log(after[-1] / after[0]) / np.log(before[-1] / before[0]) < 0.6
