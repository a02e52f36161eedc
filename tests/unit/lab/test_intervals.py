"""Intervals: they hold what they promise, and come out the same every time."""

from __future__ import annotations

import numpy as np
import pytest

from backend.lab.evaluation import intervals
from backend.lab.evaluation.intervals import estimates


def test_the_interval_is_that_of_theory() -> None:
    values = np.random.default_rng(1).normal(3, 2, (2000, 1))

    (found,) = estimates(values)

    error = values.std() / 2000**0.5
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.2 * error)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.2 * error)


def test_nineteen_in_twenty_intervals_hold_the_truth() -> None:
    held = 0
    for seed in range(200):
        values = np.random.default_rng(seed).random((150, 1))
        (found,) = estimates(values, seed=seed, resamples=300)
        held += found.low <= 0.5 <= found.high

    assert 180 <= held <= 200


def test_a_seed_gives_the_same_interval_and_another_one_another() -> None:
    values = np.random.default_rng(0).random((500, 3))

    assert estimates(values, seed=7) == estimates(values, seed=7)
    assert estimates(values, seed=7) != estimates(values, seed=8)


def test_columns_share_their_resamples() -> None:
    noise = np.random.default_rng(0).random(500)
    lead = estimates(np.column_stack([noise, noise + 0.01, np.full(500, 0.01)]))

    assert lead[1].low - lead[0].low == pytest.approx(0.01)
    assert (lead[2].low, lead[2].high) == (pytest.approx(0.01), pytest.approx(0.01))


def test_blocks_make_no_difference_to_what_is_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random((400, 1))
    (whole,) = estimates(values)

    monkeypatch.setattr(intervals, "DRAWS", 1000)  # two resamples a block
    (parts,) = estimates(values)

    assert parts.value == whole.value
    assert parts.low == pytest.approx(whole.low, abs=0.004)
