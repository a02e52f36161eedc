"""The weights of a query's blocks: what each end of the dial means, in numbers."""

from __future__ import annotations

import numpy as np
import pytest

from backend.embedders import Block
from backend.errors import NoColour
from backend.search.colour_weight import weigh

BLOCKS = (Block("look", 0, 5), Block("pattern", 5, 8), Block("colour", 8, 12))
LENGTHS = {"look": 0.8, "pattern": 0.36**0.5 / 2**0.5, "colour": 0.36**0.5 / 2**0.5}


def vectors(count: int, seed: int = 0) -> np.ndarray:
    """Draw vectors whose blocks have the lengths LENGTHS."""
    drawn = np.random.default_rng(seed).normal(size=(count, 12)).astype(np.float32)
    for name, start, stop in BLOCKS:
        drawn[:, start:stop] *= LENGTHS[name] / np.linalg.norm(
            drawn[:, start:stop], axis=1, keepdims=True
        )
    return drawn


def cosines(query: np.ndarray, stored: np.ndarray, name: str) -> np.ndarray:
    _, start, stop = next(block for block in BLOCKS if block.name == name)
    return stored[:, start:stop] @ query[start:stop] / LENGTHS[name] ** 2


def scores(query: np.ndarray, stored: np.ndarray, **options: object) -> np.ndarray:
    weighed = weigh(query, BLOCKS, **options)
    unit = weighed.asked / np.linalg.norm(weighed.asked)
    return np.array([weighed.score_of(float(cosine)) for cosine in stored @ unit])


@pytest.mark.parametrize("colour", [0, 0.25, 0.5, 1])
def test_half_the_dial_is_the_weight_of_colour_and_the_others_share_the_rest(colour: float) -> None:
    query, stored = vectors(1)[0], vectors(50, seed=1)
    look, pattern, shade = (cosines(query, stored, name) for name in LENGTHS)
    rest = 1 - colour / 2
    expected = rest * (0.64 * look + 0.18 * pattern) / 0.82 + colour / 2 * shade
    assert scores(query, stored, colour=colour) == pytest.approx(expected, abs=1e-6)


def test_without_the_dial_the_score_is_the_cosine() -> None:
    query, stored = vectors(1)[0], vectors(50, seed=1)
    assert scores(query, stored) == pytest.approx(stored @ query, abs=1e-6)
    weighed = weigh(query, BLOCKS)
    assert weighed.asked is query
    assert weighed.colour == pytest.approx(2 * 0.18)
    assert scores(query, stored, colour=weighed.colour) == pytest.approx(stored @ query, abs=1e-6)


@pytest.mark.parametrize("colour", [None, 0, 0.5, 1])
def test_an_identical_image_has_the_score_1_and_every_part_too(colour: float | None) -> None:
    query = vectors(1)[0]
    assert scores(query, query[None], colour=colour) == pytest.approx([1], abs=1e-6)
    weighed = weigh(query, BLOCKS, colour=colour)
    found = {name: each[0] for name, each in weighed.similarities(query[None]).items()}
    assert found == pytest.approx(dict.fromkeys(LENGTHS, 1), abs=1e-6)
    assert sum(weighed.weights.values()) == pytest.approx(1)


@pytest.mark.parametrize("colour", [None, 0, 0.3, 1])
def test_the_least_score_admits_the_score_itself(colour: float | None) -> None:
    weighed = weigh(vectors(1)[0], BLOCKS, colour=colour)
    for cosine in np.float32(np.array([-0.9, 0.1, 0.333333, 0.9]) / weighed.factor):
        least = weighed.cosine_of(weighed.score_of(float(cosine)))
        assert least is not None
        assert np.float32(least) <= cosine
        assert least == pytest.approx(cosine, abs=1e-8)
    assert weighed.cosine_of(None) is None


def test_a_query_with_lengths_of_its_own_is_compared_by_those_that_are_stored() -> None:
    query, stored = vectors(1)[0], vectors(50, seed=1)
    loud = query.copy()
    loud[8:] *= 4  # its colour is four times as long
    look, pattern, shade = (cosines(query, stored, name) for name in LENGTHS)
    expected = (0.64 * look + 0.18 * pattern + 4 * 0.18 * shade) / (0.64 + 0.18 + 4 * 0.18)
    assert scores(loud, stored, lengths=LENGTHS) == pytest.approx(expected, abs=1e-6)
    asked = scores(loud, stored, lengths=LENGTHS, colour=0.5)
    assert asked == pytest.approx(scores(query, stored, colour=0.5), abs=1e-6)


def test_a_part_that_is_all_zeros_stays_so() -> None:
    query = vectors(1)[0]
    query[8:] = 0
    weighed = weigh(query, BLOCKS, lengths=LENGTHS)
    assert not weighed.asked[8:].any()
    assert weighed.weights["colour"] == 0
    assert weighed.similarities(vectors(1, seed=1))["colour"] == [0]


@pytest.mark.parametrize(
    "blocks", [None, (), BLOCKS[:2], (Block("colour", 0, 12),)], ids=["unknown", "0", "no", "only"]
)
def test_without_a_part_for_colour_beside_another_there_is_no_dial(
    blocks: tuple[Block, ...] | None,
) -> None:
    query = vectors(1)[0]
    with pytest.raises(NoColour):
        weigh(query, blocks, colour=0.5)
    assert weigh(query, blocks).factor == 1
