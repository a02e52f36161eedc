"""Recall@10: which neighbours count as found."""

from __future__ import annotations

import pytest

from backend.search.recall import recall
from backend.vectors import Hit


def hits(**scores: float) -> list[Hit]:
    return [Hit(id=int(name[1:]), score=score, payload={}) for name, score in scores.items()]


EXACT = hits(_1=0.9, _2=0.8, _3=0.7, _4=0.6)


def test_it_is_the_share_of_the_exact_answer_that_was_found() -> None:
    assert recall(EXACT, EXACT) == 1.0
    assert recall(hits(_1=0.9, _3=0.7, _8=0.3, _9=0.2), EXACT) == 0.5
    assert recall([], EXACT) == 0.0


def test_an_equal_neighbour_may_stand_for_the_last_one() -> None:
    assert recall(hits(_1=0.9, _2=0.8, _3=0.7, _9=0.6 - 1e-6), EXACT) == 1.0


def test_a_neighbour_counts_although_an_approximate_score_is_lower() -> None:
    assert recall(hits(_1=0.9, _2=0.8, _3=0.7, _4=0.5), EXACT) == 1.0


def test_it_is_never_above_one_and_one_where_there_is_nothing_to_find() -> None:
    assert recall(hits(_1=0.9, _2=0.8), hits(_1=0.8)) == 1.0
    assert recall(EXACT, []) == pytest.approx(1.0)
