"""Metrics at k, checked by hand, against definitions in plain Python."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from backend.search.ranking import (
    average_precision_at_k,
    ndcg_at_k,
    precision_at_k,
    recall_at_k,
)


def ap(relevant: list[bool], in_index: int) -> float:
    return float(average_precision_at_k(np.array([relevant]), np.array([in_index]))[0])


def test_a_perfect_ranking_is_one() -> None:
    assert ap([True] * 5, 100) == 1


def test_what_is_not_there_cannot_be_missed() -> None:
    assert ap([True, True, False, False, False], 2) == 1


def test_a_hit_counts_for_more_the_earlier_it_comes() -> None:
    assert ap([True, False, False, False, False], 5) == pytest.approx(1 / 5)
    assert ap([False, True, False, False, True], 9) == pytest.approx((1 / 2 + 2 / 5) / 5)


def test_a_query_without_a_relevant_item_is_not_a_number() -> None:
    assert math.isnan(ap([False] * 5, 0))


def test_a_short_list_is_filled_up_with_nothing() -> None:
    assert ap([True, False, False], 2) == pytest.approx(1 / 2)


def test_it_agrees_with_the_definition_on_random_rankings() -> None:
    dice = random.Random(0)
    labels = [dice.choice("aaaabbcd") for _ in range(40)]
    neighbours = [dice.sample([n for n in range(40) if n != q], 5) for q in range(40)]

    relevant = [
        [labels[item] == labels[query] for item in it] for query, it in enumerate(neighbours)
    ]
    totals = [labels.count(label) - 1 for label in labels]

    expected = []
    for hits, total in zip(relevant, totals, strict=True):
        gained = sum(sum(hits[: r + 1]) / (r + 1) for r in range(5) if hits[r])
        expected.append(gained / min(5, total) if total else math.nan)

    found = average_precision_at_k(np.array(relevant), np.array(totals))
    assert found == pytest.approx(expected, nan_ok=True)


def test_precision_recall_and_gain_by_hand() -> None:
    relevant = np.array([[True, False, True, False, False]])
    in_index = np.array([4])

    assert precision_at_k(relevant) == pytest.approx(2 / 5)
    assert recall_at_k(relevant, in_index) == pytest.approx(2 / 4)
    best = 1 + 1 / math.log2(3) + 1 / math.log2(4) + 1 / math.log2(5)
    assert ndcg_at_k(relevant, in_index) == pytest.approx((1 + 1 / math.log2(4)) / best)


def test_nothing_relevant_is_not_a_number_for_recall_and_gain() -> None:
    relevant, in_index = np.zeros((1, 5), bool), np.array([0])

    assert math.isnan(recall_at_k(relevant, in_index)[0])
    assert math.isnan(ndcg_at_k(relevant, in_index)[0])
