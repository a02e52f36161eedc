"""The split of products: names and the seed alone decide it."""

from __future__ import annotations

import numpy as np
import pytest

from backend.errors import NotEvaluable
from backend.lab.evaluation.splits import cap, draw, fraction_of, split, unseen_categories

SKUS = [f"sku-{number}" for number in range(5000)]
KINDS = [f"kind-{number % 50}" for number in range(5000)]


def test_the_three_parts_are_disjoint_and_everything() -> None:
    parts = split(SKUS, KINDS, held_out=0.2, unseen=0.1)

    together = parts.training.astype(int) + parts.held_out + parts.unseen
    assert (together == 1).all()
    assert parts.held_out[~parts.unseen].mean() == pytest.approx(0.2, abs=0.02)


def test_an_unseen_category_has_no_product_in_training() -> None:
    parts = split(SKUS, KINDS, held_out=0.2, unseen=["kind-3", "kind-7"])

    hidden = {kind for kind, unseen in zip(KINDS, parts.unseen, strict=True) if unseen}
    others = {kind for kind, unseen in zip(KINDS, parts.unseen, strict=True) if not unseen}
    assert hidden == {"kind-3", "kind-7"}
    assert not hidden & others


def test_a_growing_catalogue_moves_nobody() -> None:
    before = split(SKUS[:1000], KINDS[:1000], held_out=0.3, unseen=0.2, seed=4)
    after = split(SKUS, KINDS, held_out=0.3, unseen=0.2, seed=4)
    reverse = split(SKUS[::-1], KINDS[::-1], held_out=0.3, unseen=0.2, seed=4)

    for part in ("training", "held_out", "unseen"):
        assert (getattr(after, part)[:1000] == getattr(before, part)).all()
        assert (getattr(after, part) == getattr(reverse, part)[::-1]).all()


def test_a_place_is_the_same_on_every_machine() -> None:
    assert fraction_of("15970") == pytest.approx(0.8626859513102154, abs=1e-12)
    assert fraction_of("15970", seed=1) != fraction_of("15970")


def test_a_larger_fraction_only_adds() -> None:
    few = unseen_categories(KINDS, 0.1)
    more = unseen_categories(KINDS, 0.3)

    assert few < more
    assert unseen_categories(KINDS, 1.0) == set(KINDS)


def test_a_product_without_a_category_is_never_unseen() -> None:
    parts = split(["a", "b"], [None, "kind"], held_out=0, unseen=1.0)

    assert parts.unseen.tolist() == [False, True]


def test_a_category_that_is_not_there_is_refused_with_what_is_meant() -> None:
    with pytest.raises(NotEvaluable, match=r"'kind_3'.*kind-3"):
        unseen_categories(KINDS, ["kind_3"])


def test_a_draw_is_the_beginning_of_the_seeds_permutation() -> None:
    positions = np.arange(100)

    drawn = draw(positions, 10, seed=0)

    assert drawn.tolist() == np.random.RandomState(0).permutation(100)[:10].tolist()
    assert draw(positions, None).tolist() == positions.tolist()
    assert sorted(draw(positions, 1000)) == positions.tolist()


def test_a_cap_leaves_small_categories_whole_and_drops_what_has_none() -> None:
    codes = np.array([0] * 50 + [1] * 3 + [-1] * 4)

    kept = cap(codes, 10)

    assert np.bincount(codes[kept]).tolist() == [10, 3]
    assert not kept[codes == -1].any()
    assert cap(codes, None).all()
    assert (cap(codes, 10) == kept).all()
    assert (cap(codes, 10, seed=1) != kept).any()
