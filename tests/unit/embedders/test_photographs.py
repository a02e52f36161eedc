"""A photograph is told from a catalogue image, and moved towards the products of its class."""

from __future__ import annotations

import numpy as np
import pytest

from backend.embedders.block_statistics import BlockStatistics
from backend.embedders.kept_features import KIND, LOOK, SIZE
from backend.embedders.photographs import (
    CLASSES,
    PLAIN_BORDER,
    PhotographHead,
    plain_borders,
    shipped_head,
)

RANDOM = np.random.default_rng(0)
PLAIN = np.full((224, 168, 3), 240, np.uint8)
BUSY = RANDOM.integers(0, 256, (224, 168, 3), np.uint8)


def head(photograph: float = 0.0) -> PhotographHead:
    """A head whose class is the axis of the kind; any image is a photograph by its bias."""
    weights = np.zeros((KIND.stop + 1, CLASSES + 2), np.float16)
    weights[KIND.start : KIND.start + CLASSES + 1, : CLASSES + 1] = np.eye(CLASSES + 1)
    weights[-1, CLASSES + 1] = photograph
    return PhotographHead(weights=weights)


def features(*classes: int) -> np.ndarray:
    """Features of products that look like these classes; CLASSES: like something else."""
    found = np.zeros((len(classes), SIZE), np.float32)
    found[:, LOOK] = RANDOM.normal(size=(len(classes), LOOK.stop))
    found[range(len(classes)), [KIND.start + number for number in classes]] = 2
    return found


def test_a_plain_border_is_told_from_a_busy_one() -> None:
    plain, busy = plain_borders(np.stack([PLAIN, BUSY]))
    assert plain == 1
    assert busy < PLAIN_BORDER / 2


@pytest.mark.parametrize(
    ("pixels", "looks_taken", "expected"),
    [(BUSY, 1.0, True), (BUSY, -1.0, False), (PLAIN, 1.0, False)],
    ids=["both", "looks like a catalogue", "plain border"],
)
def test_border_and_head_have_to_agree(
    pixels: np.ndarray, looks_taken: float, expected: bool
) -> None:
    found = head(looks_taken).are_photographs(pixels[None], features(0))
    assert found.tolist() == [expected]


def test_a_type_belongs_to_the_class_of_most_of_its_products() -> None:
    looks = np.eye(6, dtype=np.float32)
    means = head().class_looks(
        features(0, 0, 1, 1, CLASSES, 2), looks, np.array([0, 0, 0, 1, 2, -1])
    )
    assert np.flatnonzero(means[0]).tolist() == [0, 1, 2]  # the third follows its type
    assert np.flatnonzero(means[1]).tolist() == [3]
    assert np.flatnonzero(means[2]).tolist() == [5]  # without a type it counts for itself
    assert not means[3:].any()  # no product is left for them, nor for what is of no class
    assert np.linalg.norm(means[0].astype(np.float32)) == pytest.approx(1, abs=1e-3)


def statistics(class_looks: np.ndarray | None) -> BlockStatistics:
    return BlockStatistics(
        mean=np.zeros(LOOK.stop, np.float32),
        components=RANDOM.normal(size=(8, LOOK.stop)).astype(np.float16),
        kind_weight=0.5,
        colour_weight=0.3,
        class_looks=class_looks,
    )


def test_a_photograph_moves_towards_its_class_and_keeps_colour_and_lengths() -> None:
    look = 8 + KIND.stop - KIND.start
    means = np.zeros((CLASSES, look), np.float16)
    means[3, 5] = 1
    ours = statistics(means)
    vectors = ours.project(features(3, 4))
    moved = ours.move_to_class(vectors, np.eye(CLASSES, dtype=np.float32)[[3, 4]])
    assert moved[0, 5] > vectors[0, 5] + 0.2
    assert np.allclose(moved[1], vectors[1], atol=1e-6)  # without one
    assert np.array_equal(moved[:, look:], vectors[:, look:])
    assert np.allclose(np.linalg.norm(moved, axis=1), 1, atol=1e-5)
    assert np.array_equal(statistics(None).move_to_class(vectors, np.eye(CLASSES)[:2]), vectors)


def test_the_classes_of_a_shop_are_stored_beside_what_names_its_vectors() -> None:
    means = np.ones((CLASSES, 4), np.float16)
    with_classes, without = statistics(means), statistics(None)
    read = BlockStatistics.from_bytes(with_classes.to_bytes())
    assert read.class_looks is not None
    assert np.array_equal(read.class_looks, means)
    assert BlockStatistics.from_bytes(without.to_bytes()).class_looks is None
    assert read.digest == with_classes.digest


def test_the_shipped_head_knows_as_many_classes_as_it_says() -> None:
    assert shipped_head().weights.shape == (KIND.stop + 1, CLASSES + 2)
