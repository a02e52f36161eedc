"""The formula: cold products inherit, warm ones go by their own pairs."""

from __future__ import annotations

import pytest

from backend.recommendations.formula import LOOK, Traits, coldness, score

NEIGHBOURS = [(10, 0.9), (11, 0.5), (12, -0.2)]
PARTNERS = {10: {20: 1.0, 21: 3.0}, 11: {20: 1.0}}


def test_a_cold_product_goes_with_its_likes_and_with_what_they_go_with() -> None:
    found = score({}, NEIGHBOURS, PARTNERS)
    assert found[10].score == pytest.approx(LOOK * 0.81)
    assert found[20].score == pytest.approx(0.81 * 0.5 + 0.25 * 0.5)
    assert found[20].through == {10: pytest.approx(0.405), 11: pytest.approx(0.125)}
    assert found[21].score == pytest.approx(0.81 * 0.75)
    assert found[12].score == 0


def test_looks_fade_as_pairs_grow() -> None:
    few, many = {20: 5.0}, {20: 500.0}
    assert (coldness({}), coldness(few)) == (1, 0.5)
    assert coldness(many) < 0.01
    assert score(few, NEIGHBOURS, PARTNERS)[10].score == pytest.approx(LOOK * 0.81 / 2)
    warm = score(many, NEIGHBOURS, PARTNERS)
    assert max(warm, key=lambda it: warm[it].score) == 20


def test_excluded_products_are_left_out() -> None:
    assert 20 not in score({}, NEIGHBOURS, PARTNERS, excluded=frozenset({20}))


def test_variants_count_more_and_others_genders_and_types_less() -> None:
    shirt = Traits(group="g-1", gender="Women", article_type="Shirts")
    assert shirt.factor(Traits(group="g-1", gender="Women", article_type="Shirts")) == 4
    assert shirt.factor(Traits(group="g-2", gender="Men", article_type="Jeans")) == 0.35
    assert shirt.factor(Traits()) == Traits().factor(Traits()) == 1
    found = score({}, NEIGHBOURS, PARTNERS, kin=shirt, kin_of={10: Traits(gender="Men")})
    assert found[10].score == pytest.approx(LOOK * 0.81 / 2)
    assert found[11].score == pytest.approx(LOOK * 0.25)
