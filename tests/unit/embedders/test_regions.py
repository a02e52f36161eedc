"""Numbers of cells become regions: the surest first, each thing once."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from backend.api.schemas.similar_items import RegionKind
from backend.embedders.regions import (
    ANY_PASTED,
    CELLS,
    COLUMNS,
    DOUBT,
    FINE_COLUMNS,
    FINE_ROWS,
    KINDS,
    MOST,
    OUTPUTS,
    PASTED,
    ROWS,
    SIZE,
    STRIDE,
    THINGS,
    find_regions,
    is_pasted,
    largest_piece,
    mask_of,
    may_be_pasted,
    pasted_first,
)

INPUT = (224, 168)
FAR = 30.0  # a logit that is as good as certain


def values(*things: tuple[int, int, tuple[float, ...], float, str]) -> np.ndarray:
    """Numbers of an image whose cells (row, column) judge a box, with a logit and a kind."""
    cells = np.zeros((OUTPUTS, ROWS, COLUMNS), np.float32)
    cells[0] = -FAR
    for row, column, (left, top, right, bottom), logit, kind in things:
        x, y = (column + 0.5) * STRIDE / INPUT[1], (row + 0.5) * STRIDE / INPUT[0]
        distances = np.array([x - left, y - top, right - x, bottom - y])
        cells[0, row, column] = logit
        cells[1:5, row, column] = np.log(distances / (1 - distances))
        cells[5 + KINDS.index(kind), row, column] = 1
    return np.concatenate([cells.ravel(), np.zeros(SIZE - CELLS, np.float32)])


SHIRT = (0.1, 0.05, 0.6, 0.45)
TROUSERS = (0.2, 0.5, 0.5, 0.98)


def test_each_thing_is_found_once_the_surest_first() -> None:
    found = find_regions(
        values(
            (3, 3, SHIRT, 1.0, "shirt"),
            (10, 3, TROUSERS, 4.0, "trousers"),
            (3, 4, (0.11, 0.06, 0.61, 0.44), 0.5, "shirt"),  # the same thing
            (3, 5, (0.3, 0.1, 0.55, 0.4), 0.2, "dress"),  # within it
        ),
        INPUT,
    )
    assert [region.kind for region in found] == ["trousers", "shirt"]
    assert found[0].box == pytest.approx(TROUSERS, abs=1e-3)
    assert found[0].confidence == pytest.approx(1 / (1 + np.exp(-4)))
    assert found[1].box == pytest.approx((0.104, 0.054, 0.604, 0.446), abs=4e-3)  # both, weighed


def test_what_is_not_sure_enough_is_no_region() -> None:
    assert find_regions(values(), INPUT) == []
    assert find_regions(values((3, 3, SHIRT, -1.0, "shirt")), INPUT) == []


def test_boxes_stay_within_the_image_and_are_few() -> None:
    many = [
        (row, column, (x := column / 11, row / 14, x + 0.09, row / 14 + 0.07), 3.0, "other")
        for row in range(1, 12, 3)
        for column in range(1, 10, 3)
    ]
    assert len(find_regions(values(*many), INPUT)) == MOST
    edge = np.array(values((3, 3, SHIRT, FAR, "hat"))).reshape(-1)
    edge[ROWS * COLUMNS + 3 * COLUMNS + 3] = FAR  # left of the cell by a whole width
    (found,) = find_regions(edge, INPUT)
    assert found.box[0] == 0


def test_what_was_pasted_comes_before_what_is_surer() -> None:
    numbers = values((3, 3, SHIRT, 1.0, "shirt"), (10, 3, TROUSERS, 4.0, "trousers"))
    pasted = np.full((FINE_ROWS, FINE_COLUMNS), -FAR, np.float32)
    pasted[2:12, 3:12] = FAR  # where the shirt is
    numbers[PASTED] = pasted.ravel()
    found = find_regions(numbers, INPUT)
    assert [region.kind for region in found] == ["trousers", "shirt"]
    assert [region.kind for region in pasted_first(found, numbers)] == ["shirt", "trousers"]
    numbers[PASTED] = FAR  # nothing tells them apart
    assert pasted_first(found, numbers) == found


def test_the_first_part_is_made_larger_by_the_largest_piece_that_was_pasted() -> None:
    numbers = values((3, 3, SHIRT, 1.0, "shirt"))
    pasted = np.full((FINE_ROWS, FINE_COLUMNS), -FAR, np.float32)
    pasted[4:16, 4:14] = FAR  # the shirt and more
    pasted[20:22, 18:21] = FAR  # a smaller piece
    numbers[PASTED] = pasted.ravel()
    found = find_regions(numbers, INPUT)
    (first,) = pasted_first(found, numbers)
    left, top, _, _ = found[0].box
    assert first.box == pytest.approx((left, top, 14 / FINE_COLUMNS, 16 / FINE_ROWS), abs=1e-3)
    assert (first.kind, first.confidence) == (found[0].kind, found[0].confidence)
    pasted[:] = -FAR
    pasted[18:28, 10:21] = FAR  # another thing
    numbers[PASTED] = pasted.ravel()
    assert pasted_first(found, numbers) == found
    numbers[PASTED] = -FAR
    assert pasted_first(found, numbers) == found
    assert pasted_first([], numbers) == []


def test_pieces_are_joined_by_sides_alone() -> None:
    drawn = ["xx..x", "..x.x", ".x..x", "xx.xx"]
    points = np.array([[point == "x" for point in row] for row in drawn])
    expected = np.zeros_like(points)
    expected[:, 4] = expected[3, 3] = True
    assert np.array_equal(largest_piece(points), expected)
    assert not largest_piece(np.zeros((3, 4), bool)).any()


def test_whether_anything_was_pasted_is_one_number_and_the_mask_is_a_mean_of_both() -> None:
    numbers = values()
    numbers[THINGS], numbers[PASTED], numbers[ANY_PASTED] = 4, -2, 0.1
    assert is_pasted(numbers)
    assert (mask_of(numbers) == np.full((FINE_ROWS, FINE_COLUMNS), -0.5)).all()
    numbers[ANY_PASTED] = DOUBT + 0.1
    assert not is_pasted(numbers)
    assert may_be_pasted(numbers)
    numbers[ANY_PASTED] = DOUBT - 0.1
    assert not may_be_pasted(numbers)


def test_the_api_describes_all_kinds() -> None:
    assert get_args(RegionKind) == KINDS
