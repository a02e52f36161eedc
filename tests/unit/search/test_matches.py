"""A curve of `match`: fitted to pairs, read in both directions, and judged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.search.matches import (
    UNREACHED,
    MatchBin,
    MatchCurve,
    Pairs,
    compare,
    error_of,
    fit,
    fit_and_judge,
)

CURVE = MatchCurve(
    by="article_type",
    scores=[0.2, 0.6, 0.8],
    shares=[0.1, 0.1, 0.9],
    error=0.0,
    pairs=1,
    products=1,
)


def drawn(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Pairs whose share of the same kind is the square of their score."""
    dice = np.random.default_rng(seed)
    scores = dice.uniform(0, 1, count)
    return scores, dice.uniform(0, 1, count) < scores**2


@pytest.mark.parametrize(
    ("score", "match"),
    [(-1, 0), (-0.4, 0.05), (0.2, 0.1), (0.4, 0.1), (0.7, 0.5), (0.8, 0.9), (1, 0.9)],
)
def test_a_match_lies_on_straight_lines_between_the_points(score: float, match: float) -> None:
    assert CURVE.matches([score])[0] == pytest.approx(match)


def test_the_match_of_one_score_is_that_of_many() -> None:
    scores, shares = fit(*drawn(20_000)) or ([], [])
    curve = replace(CURVE, scores=scores, shares=shares)
    asked = [-1.0, *scores, 1.0, *np.random.default_rng(1).uniform(-1, 1, 1000)]
    assert [curve.match_of(it) for it in asked] == curve.matches(asked).tolist()


@pytest.mark.parametrize(
    ("match", "score"),
    [(0, -1), (0.05, -0.4), (0.1, 0.2), (0.5, 0.7), (0.9, 0.8), (0.91, UNREACHED), (1, UNREACHED)],
)
def test_the_score_of_a_match_is_the_lowest_that_has_it(match: float, score: float) -> None:
    assert CURVE.score_of(match) == pytest.approx(score)


def test_a_curve_is_kept_and_read_again() -> None:
    assert MatchCurve.of(CURVE.kept()) == CURVE


def test_a_fitted_curve_never_falls_and_is_near_the_truth() -> None:
    points = fit(*drawn(20_000))
    assert points is not None
    scores, shares = map(np.array, points)
    assert 10 <= len(scores) <= 40
    assert (np.diff(scores) > 0).all()
    assert (np.diff(shares) > 0).all()
    assert np.abs(shares - scores**2).max() < 0.05


def test_bins_whose_shares_fall_are_joined_to_their_mean() -> None:
    scores = np.arange(200) / 200
    same = np.zeros(200, np.bool_)
    same[50:80] = same[100:120] = same[150:] = True  # shares of the four bins: 0, .6, .4, 1
    points = fit(scores, same)
    assert points is not None
    assert points[1] == [0.0, 0.5, 1.0]
    assert points[0] == pytest.approx([24.5 / 200, 99.5 / 200, 174.5 / 200], abs=1e-6)


@pytest.mark.parametrize("share", [0, 1])
def test_pairs_of_one_outcome_have_no_curve(share: int) -> None:
    assert fit(np.linspace(0, 1, 500), np.full(500, share, np.bool_)) is None


def test_few_pairs_have_no_curve() -> None:
    assert fit(*drawn(99)) is None


def test_the_error_is_the_mean_distance_weighted_by_pairs() -> None:
    bins = [
        MatchBin(match=0.5, observed=0.7, pairs=10),
        MatchBin(match=0.9, observed=0.8, pairs=30),
    ]
    assert error_of(bins) == pytest.approx(0.125)
    matches, same = np.linspace(0, 1, 20), np.array([0, 1] * 10, np.bool_)
    assert [(it.observed, it.pairs) for it in compare(matches, same)] == [(0.5, 2)] * 10


def test_the_error_is_measured_on_queries_that_were_not_fitted_on() -> None:
    queries = [Pairs(*drawn(30, seed)) for seed in range(400)]
    fitted = fit_and_judge(queries, [], by="article_type", products=5)
    assert fitted is not None
    curve, bins = fitted
    assert (curve.pairs, sum(it.pairs for it in bins)) == (320 * 30, 80 * 30)
    assert curve.error == error_of(bins) < 0.05
    lies = [Pairs(one.scores, ~one.same) if at % 5 == 0 else one for at, one in enumerate(queries)]
    judged = fit_and_judge(lies, [], by="article_type", products=5)
    assert judged is not None
    assert judged[0].shares == curve.shares, "they were not fitted on"
    assert judged[0].error > 0.3


def test_far_pairs_say_what_low_scores_mean() -> None:
    near = [Pairs(0.5 + one.scores / 2, one.same) for one in map(pairs_of, range(100))]
    far = [Pairs(np.linspace(0, 0.4, 20), np.zeros(20, np.bool_)) for _ in near]
    alone, both = (fit_and_judge(near, it, by="article_type", products=5) for it in ([], far))
    assert alone is not None
    assert both is not None
    assert both[0].matches([0.4])[0] == pytest.approx(0, abs=0.01)
    assert both[0].scores[0] < 0.4 < alone[0].scores[0]
    assert sum(it.pairs for it in both[1]) == 20 * 30, "only neighbours are judged by"


def pairs_of(seed: int) -> Pairs:
    return Pairs(*drawn(30, seed))


def test_without_neighbours_to_judge_by_there_is_no_curve() -> None:
    """An index that was lost answers with nothing until it is filled; far pairs need none."""
    rng = np.random.default_rng(0)
    nothing = Pairs(scores=np.empty(0), same=np.empty(0, dtype=bool))
    far = [Pairs(scores=rng.random(40), same=rng.random(40) < 0.3) for _ in range(20)]
    assert fit_and_judge([nothing] * 20, far, by="article_type", products=20) is None
