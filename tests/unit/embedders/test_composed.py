"""A pasted image is told from a photograph and from a catalogue image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backend.embedders.composed import ComposedHead
from backend.lab.training.composed import fit

RANDOM = np.random.default_rng(0)
PLAIN = np.full((224, 168, 3), 240, np.uint8)
BUSY = RANDOM.integers(0, 256, (224, 168, 3), np.uint8)


@pytest.mark.parametrize(
    ("pixels", "bias", "expected"),
    [(BUSY, 0.5, True), (BUSY, -0.5, False), (PLAIN, 0.5, False)],
    ids=["both", "looks taken", "plain border"],
)
def test_border_and_head_have_to_agree(pixels: np.ndarray, bias: float, expected: bool) -> None:
    head = ComposedHead(weights=np.array([0, 0, bias], np.float32))
    assert head.are_composed(pixels[None], np.ones((1, 2), np.float32)).tolist() == [expected]


def test_what_is_learnt_finds_pasted_images_and_loses_one_photograph_in_a_hundred(
    tmp_path: Path,
) -> None:
    """Pasted images have more of the first number."""
    sharp = np.array([2.0, 0, 0, 0], np.float32)
    images = RANDOM.normal(3, 0.5, (3_000, 4)).astype(np.float32)
    head = fit(images[:1_000] + sharp, images[1_000:2_000], images[2_000:])
    head.save(tmp_path / "head.npz")
    with np.load(tmp_path / "head.npz") as file:
        stored = ComposedHead(weights=file["weights"])
    pixels = np.stack([BUSY] * 1_000)
    lost = stored.are_composed(pixels, images[2_000:] ** 2)
    found = stored.are_composed(pixels, (images[:1_000] + sharp) ** 2)
    assert lost.mean() == pytest.approx(0.01, abs=0.002)
    assert found.mean() > 0.9
