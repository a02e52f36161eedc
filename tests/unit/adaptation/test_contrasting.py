"""Texts and images are told apart from others of a batch, by gradients that are written out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from backend.adaptation.contrasting import DescribedImages, gradients, same_texts, sharpen
from backend.embedders import FloatArray

KINDS, EACH = 4, 60
INPUTS, SIZE = KINDS + EACH, 16


def loss(inputs: np.ndarray, images: np.ndarray, same: np.ndarray, layer: np.ndarray) -> float:
    """The mean cross entropy of both directions, as torch would compute it."""
    scores = np.asarray(3 * inputs @ layer @ images.T, np.float64)

    def entropy(scores: np.ndarray, wanted: np.ndarray) -> float:
        logarithms = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        return float(-(wanted / wanted.sum(axis=1, keepdims=True) * logarithms).sum(axis=1).mean())

    return (entropy(scores, same) + entropy(scores.T, same.T)) / 2


def test_gradients_are_those_of_the_loss() -> None:
    random = np.random.default_rng(0)
    inputs, images = random.normal(size=(2, 6, 4)) / 2
    layer = random.normal(size=(4, 4))
    same = same_texts(["a", "b", "a", "c", "d", "d"])
    factor = np.float32(3)
    given = inputs.astype(np.float32), images.astype(np.float32)
    of_layer, of_sharpness = gradients(*given, same, layer.astype(np.float32), factor)
    for place in ((0, 0), (1, 3), (3, 2)):
        moved = np.zeros_like(layer)
        moved[place] = 1e-4
        sides = [loss(inputs, images, same, layer + sign * moved) for sign in (1, -1)]
        assert of_layer[place] == pytest.approx((sides[0] - sides[1]) / 2e-4, abs=1e-5)
    by_factor = [loss(inputs, images, same, layer * (1 + sign * 1e-4)) for sign in (1, -1)]
    assert of_sharpness[0] == pytest.approx((by_factor[0] - by_factor[1]) / 2e-4, abs=1e-5)


def pairs() -> DescribedImages:
    """Products of four loud kinds; what tells those of one kind apart is quiet."""
    random = np.random.default_rng(0)
    loud, quiet = random.normal(size=(KINDS, SIZE)), random.normal(0, 0.15, (EACH, SIZE))
    rows = np.arange(KINDS * EACH)
    vectors = loud[rows % KINDS] + quiet[rows // KINDS] + random.normal(0, 0.05, (len(rows), SIZE))
    names = [f"{row % KINDS} {row // KINDS}" for row in rows]
    return DescribedImages(
        vectors=(vectors - vectors.mean(axis=0)).astype(np.float32),
        kinds=[names, [name.split()[0] + " -1" for name in names]],
        inputs=numbers_of,
    )


def numbers_of(texts: Sequence[str]) -> FloatArray:
    """Return the kind and the number of each text as ones."""
    found = np.zeros((len(texts), INPUTS), np.float32)
    for row, (kind, number) in enumerate(text.split() for text in texts):
        found[row, int(kind)] = 1
        if number != "-1":
            found[row, KINDS + int(number)] = 1
    return found - np.float32(2 / INPUTS)


def recall(shop: DescribedImages, slopes: FloatArray) -> float:
    scores = shop.inputs([str(name) for name in shop.kinds[0]]) @ slopes @ shop.vectors.T
    return float((scores.argmax(axis=1) == np.arange(len(scores))).mean())


def test_products_of_one_kind_are_told_apart_better_than_at_first() -> None:
    shop = pairs()
    at_first = np.linalg.lstsq(shop.inputs([str(it) for it in shop.kinds[0]]), shop.vectors)[0]
    beats: list[None] = []
    better = sharpen(shop, at_first.astype(np.float32), heartbeat=lambda: beats.append(None))
    again = sharpen(shop, at_first.astype(np.float32), heartbeat=lambda: None)
    assert recall(shop, better) > recall(shop, at_first) + 0.05
    assert np.allclose(better, again, atol=1e-5)
    assert len(beats) == 4 * 8  # passes, batches
