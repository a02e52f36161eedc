"""The formula: cold products inherit, warm ones go by their own pairs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from backend.recommendations.formula import (
    LOOK,
    NO_KIN,
    ColdScores,
    Traits,
    closeness,
    coldness,
    score_cold,
    share,
)
from backend.recommendations.pairs import PairRows, Partners
from backend.recommendations.relations import MOST, Related, Relations

NEIGHBOURS = [(10, 0.9), (11, 0.5), (12, -0.2)]
PARTNERS = {10: {20: 1.0, 21: 3.0}, 11: {20: 1.0}}


def rows_of(partners: Mapping[int, Partners]) -> PairRows:
    each = [(one, it, times) for one, others in partners.items() for it, times in others.items()]
    product, other, times = zip(*each, strict=True)
    return PairRows(np.array(product), np.array(other), np.array(times))


def by_product(scores: ColdScores) -> dict[int, tuple[float, float, int, float]]:
    columns = [it.tolist() for it in scores]
    return {row[0]: row[1:] for row in zip(*columns, strict=True)}


def test_a_cold_product_goes_with_its_likes_and_with_what_they_go_with() -> None:
    found = by_product(score_cold(NEIGHBOURS, rows_of(PARTNERS)))
    assert found == {
        10: (pytest.approx(LOOK * 0.81), 0, 0, 0),
        11: (pytest.approx(LOOK * 0.25), 0, 0, 0),
        12: (0, 0, 0, 0),
        20: (0, pytest.approx(0.81 * 0.5 + 0.25 * 0.5), 10, pytest.approx(0.405)),
        21: (0, pytest.approx(0.81 * 0.75), 10, pytest.approx(0.81 * 0.75)),
    }


def test_many_scores_are_those_of_a_plain_sum() -> None:
    rng = np.random.default_rng(3)
    near = [(int(it), float(rng.uniform(-0.2, 1))) for it in rng.permutation(300)[:120] + 1]
    partners: dict[int, Partners] = {
        one: {int(it): float(rng.exponential()) for it in rng.integers(1, 400, 15)}
        for one, _ in near[:100]
    }
    kin = {one: Traits(gender=str(rng.choice(["Men", "Women"]))) for one, _ in near}
    expected: dict[int, list[float]] = {}
    for one, cosine in near[:100]:
        close = closeness(cosine, kin.get(1, NO_KIN), kin[one])
        expected.setdefault(one, [0.0, 0.0])[0] = LOOK * close
        for other, times in partners[one].items():
            expected.setdefault(other, [0.0, 0.0])[1] += close * share(times)
    expected.pop(7, None)
    own = kin.get(1, NO_KIN)
    scores = score_cold(near, rows_of(partners), kin=own, kin_of=kin, excluded=7)
    assert {it: both[:2] for it, both in by_product(scores).items()} == {
        it: pytest.approx(tuple(both)) for it, both in expected.items()
    }
    totals = {it: sum(both) for it, both in expected.items()}
    last = min(totals, key=lambda it: totals[it])
    kept = Relations.of(scores, keep=[last, 7]).scores()[0].tolist()
    assert len(totals) > MOST == len(kept) - 1
    assert kept[-1] == last
    best = sorted(totals, key=lambda it: -totals[it])[:MOST]
    assert set(kept[:-1]) == set(best)


def test_looks_fade_as_pairs_grow() -> None:
    few, many = {20: 5.0}, {20: 500.0}
    assert (coldness({}), coldness(few)) == (1, 0.5)
    assert coldness(many) < 0.01
    relations = Relations.of(score_cold(NEIGHBOURS, rows_of(PARTNERS)))
    scores = {it.product_id: it.score for it in Related(1, few, relations, exclude=[], most=10)}
    assert scores[10] == pytest.approx(LOOK * 0.81 / 2)
    assert Related(1, many, relations, exclude=[], most=10)[0].product_id == 20


def test_the_product_itself_is_left_out() -> None:
    assert 20 not in score_cold(NEIGHBOURS, rows_of(PARTNERS), excluded=20).product


def test_variants_count_more_and_others_genders_and_types_less() -> None:
    shirt = Traits(group="g-1", gender="Women", article_type="Shirts")
    assert shirt.factor(Traits(group="g-1", gender="Women", article_type="Shirts")) == 4
    assert shirt.factor(Traits(group="g-2", gender="Men", article_type="Jeans")) == 0.35
    assert shirt.factor(Traits()) == Traits().factor(Traits()) == 1
    kin_of = {10: Traits(gender="Men")}
    found = by_product(score_cold(NEIGHBOURS, rows_of(PARTNERS), kin=shirt, kin_of=kin_of))
    assert found[10][0] == pytest.approx(LOOK * 0.81 / 2)
    assert found[11][0] == pytest.approx(LOOK * 0.25)
