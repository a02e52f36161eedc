"""Rows of an image beside its other features: which numbers are whose, and who has none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backend.embedders import kept_rows
from backend.embedders.block_statistics import BlockStatistics
from backend.embedders.kept_features import LAST, LOOK, SIZE
from backend.embedders.kept_rows import (
    ROW_SIZE,
    ROWS,
    WITH_ROWS,
    look_of,
    of_one_length,
    shipped_rows,
)
from backend.embedders.lookalike_blocks import fingerprint_of, shipped_statistics
from backend.errors import WeightsUnavailable


def statistics(width: int) -> BlockStatistics:
    return BlockStatistics(
        mean=np.zeros(width, np.float32),
        components=np.eye(320, width, dtype=np.float16),
        kind_weight=0.8,
        colour_weight=0.2,
    )


def test_what_one_row_shows_changes_the_numbers_of_that_row_alone() -> None:
    random = np.random.default_rng(0)
    maxima = random.random((1, LAST, ROWS), np.float32)
    other = maxima.copy()
    other[0, :, 2] = random.random(LAST)
    reduced = [shipped_rows().reduce(each.reshape(1, -1))[0] for each in (maxima, other)]
    changed = (reduced[0] != reduced[1]).reshape(ROWS, ROW_SIZE).mean(axis=1)
    assert changed[2] > 0.9
    assert changed.sum() == changed[2]


def test_a_map_without_rows_reads_the_same_numbers_as_before() -> None:
    features = np.arange(2 * WITH_ROWS, dtype=np.float32).reshape(2, -1)
    assert np.array_equal(look_of(features, with_rows=False), features[:, LOOK])
    assert np.array_equal(look_of(features, with_rows=True)[:, -1], features[:, -1])
    plain = statistics(LOOK.stop)
    assert np.array_equal(plain.project(features), plain.project(features[:, :SIZE]))


@pytest.mark.parametrize(("short", "size"), [(0, WITH_ROWS), (4, WITH_ROWS), (30, SIZE)])
def test_rows_are_left_out_where_many_images_have_none(short: int, size: int) -> None:
    lengths = [SIZE] * short + [WITH_ROWS] * (100 - short)
    features = {str(n): np.ones(length, np.float32) for n, length in enumerate(lengths)}
    found = of_one_length(features)
    assert {len(each) for each in found.values()} == {size}
    assert len(found) == (100 - short if size == WITH_ROWS else 100)
    assert len(of_one_length(features, with_rows=True)) == 100 - short


def test_vectors_that_are_made_of_rows_have_a_fingerprint_of_their_own() -> None:
    assert not shipped_statistics().reads_rows
    wide = statistics(look_of(np.zeros((1, WITH_ROWS), np.float32), with_rows=True).shape[1])
    assert wide.reads_rows
    found = {fingerprint_of("features", each) for each in (wide, statistics(LOOK.stop))}
    assert len(found) == 2


def test_a_projection_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(kept_rows, "FILE", tmp_path / "rows.npz")
    shipped_rows.cache_clear()
    with pytest.raises(WeightsUnavailable, match=r"rows\.npz"):
        shipped_rows()
    shipped_rows.cache_clear()
