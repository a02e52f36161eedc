"""The checks of a live re-index find each kind of wrong answer."""

from __future__ import annotations

from typing import Any

import numpy as np
from support.catalogue_editor import Absence
from support.query_load import (
    ActivePeriod,
    Answered,
    failures,
    inactive_answers,
    removed_but_shown,
    wrong_scores,
)

VECTORS = {
    1: {"a": np.array([1.0, 0.0], np.float32), "b": np.array([0.6, 0.8], np.float32)},
    2: {"a": np.array([0.0, 1.0], np.float32), "b": np.array([0.8, 0.6], np.float32)},
}
PERIODS = [ActivePeriod(1, since=0.0, until=10.0), ActivePeriod(2, since=9.0)]


def answered(at: float, generation: int, *, status: int = 200, **scores: float) -> Answered:
    items = [{"sku": sku, "score": score} for sku, score in scores.items()]
    body: dict[str, Any] = {"generation": generation, "items": items}
    return Answered("any", "sku", "a", at, at + 0.1, status, body)


def test_a_question_without_an_answer_is_a_failure() -> None:
    assert failures([answered(5, 1), answered(5, 1, status=503)]) == ["any, by sku: 503 None"]


def test_an_answer_of_a_generation_that_was_not_active_is_found() -> None:
    both_may = [answered(9.5, 1), answered(9.5, 2), answered(5, 1), answered(11, 2)]
    assert inactive_answers(both_may, PERIODS) == []
    assert len(inactive_answers([answered(5, 2), answered(11, 1)], PERIODS)) == 2


def test_a_score_from_another_space_is_found() -> None:
    assert wrong_scores([answered(5, 1, b=0.6)], VECTORS) == (1, [])
    checked, wrong = wrong_scores([answered(5, 2, b=0.8)], VECTORS)
    assert (checked, len(wrong)) == (1, 1)


def test_a_product_that_was_removed_and_is_shown_is_found() -> None:
    absences = [Absence("gone", since=2.0, until=6.0)]
    outside = [answered(1, 1, gone=0.5), answered(1.95, 1, gone=0.5), answered(5.95, 1, gone=0.5)]
    assert removed_but_shown(outside, absences) == []
    assert removed_but_shown([answered(3, 1, gone=0.5)], absences) == ["any: gone"]
