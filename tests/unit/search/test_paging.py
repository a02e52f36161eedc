"""A position is read as it was written, and takes little room."""

from __future__ import annotations

import numpy as np
import pytest

from backend.search.paging import MOST_SHOWN, Basis, Position, from_bytes, to_bytes

DIGEST = "0f" * 32
DRAWN = np.random.default_rng(7)


@pytest.mark.parametrize(
    "shown",
    [frozenset(), frozenset([1]), frozenset([127, 128, 129, 2**47]), frozenset(range(1, 1001))],
    ids=["none", "one", "far", "many"],
)
@pytest.mark.parametrize(
    "basis", [None, Basis(digest=DIGEST)], ids=["without-basis", "by-an-image-of-a-product"]
)
def test_a_position_is_read_as_it_was_written(shown: frozenset[int], basis: Basis | None) -> None:
    position = Position(generation_id=300, shown=shown, basis=basis)
    assert from_bytes(to_bytes(position)) == position


def test_a_vector_is_kept_as_float16_with_its_lengths() -> None:
    vector = DRAWN.normal(size=512).astype(np.float32)
    basis = Basis(vector=vector, lengths={"look": 0.75, "colour": 0.5})
    read = from_bytes(to_bytes(Position(generation_id=1, shown=frozenset([9]), basis=basis)))
    assert read.shown == {9}
    assert read.basis is not None
    assert read.basis.vector is not None
    assert np.allclose(read.basis.vector, vector, atol=2e-3)
    assert read.basis.lengths == basis.lengths


def test_the_vector_of_a_product_is_not_written() -> None:
    basis = Basis(vector=np.ones(512, np.float32), digest=DIGEST)
    assert len(to_bytes(Position(generation_id=1, basis=basis))) < 70


def test_a_thousand_of_a_million_products_take_two_bytes_each() -> None:
    shown = frozenset(DRAWN.choice(1_000_000, MOST_SHOWN, replace=False).tolist())
    assert len(to_bytes(Position(generation_id=1, shown=shown))) < 2 * MOST_SHOWN + 10


@pytest.mark.parametrize("count", range(1, 40, 3))
def test_bytes_that_end_too_early_are_refused(count: int) -> None:
    basis = Basis(vector=np.ones(16, np.float32))
    whole = to_bytes(Position(generation_id=1, basis=basis))
    assert len(whole) > 40 - 3
    with pytest.raises(ValueError):  # noqa: PT011  # whatever it says
        from_bytes(whole[: min(count, len(whole) - 1)])


def test_nothing_follows_an_empty_page_or_the_last_one() -> None:
    position = Position(generation_id=1, shown=frozenset(range(1, MOST_SHOWN - 1)))
    assert position.after([]) is None
    further = position.after([MOST_SHOWN])
    assert further is not None
    assert further.left == 1
    assert further.after([MOST_SHOWN + 1]) is None
