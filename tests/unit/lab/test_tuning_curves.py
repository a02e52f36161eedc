"""The drawing of a run's curves can be read, after one epoch too."""

from __future__ import annotations

import numpy as np
from PIL import ImageColor

from backend.lab.training.tuning_curves import COLOURS, PLOT, draw_sheet


def pixels_of(series: dict[str, list[float]]) -> np.ndarray:
    return np.asarray(draw_sheet(series), np.int64)


def test_a_single_epoch_is_a_point() -> None:
    drawn = pixels_of({"loss/article_type": [2.0], "seen/article_type": [0.5]})

    plots = drawn[:, : PLOT[0]]  # the legend is right of it
    coloured = (plots == ImageColor.getrgb(COLOURS[0])).all(axis=2)
    assert coloured.any()


def test_long_labels_of_a_shop_are_not_cut_off() -> None:
    label = "attributes.material_of_the_upper_part+attributes.shape_of_the_collar"

    drawn = pixels_of({f"unseen/{label}": [0.1, 0.2], "loss/contrast": [3.0, 2.0]})

    assert (drawn[:, -5:] == 255).all()  # white: no letter reaches the edge
    assert drawn.shape[1] > PLOT[0] + 350


def test_there_is_a_panel_for_each_group_that_has_curves() -> None:
    one = pixels_of({"loss/contrast": [3.0]})
    two = pixels_of({"loss/contrast": [3.0], "seen/article_type": [0.5]})

    assert len(two) == 2 * len(one)
