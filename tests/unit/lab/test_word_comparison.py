"""What was learnt of words before, as it is compared with what is learnt now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pytest
from numpy.random import RandomState

from backend.adaptation.learning_words import ranks
from backend.adaptation.name_alignment import Named, align, embed_sentences
from backend.embedders import FloatArray
from backend.embedders.words import Alignment
from backend.lab.training.word_comparison import before, score

COUNT: Final = 200
LEFT_OUT: Final = np.arange(0, COUNT, 4)
LEARNT_FROM: Final = np.setdiff1d(np.arange(COUNT), LEFT_OUT)
DRAWN: Final = RandomState(0).normal(size=(2, COUNT, 384)).astype(np.float32)
NAMES: Final = [f"name {number}" for number in range(COUNT)]
NAMED: Final = Named(
    names=NAMES,
    labels=[[None] * COUNT],
    vectors=DRAWN[0, :, :48] / np.linalg.norm(DRAWN[0, :, :48], axis=1, keepdims=True),
    blocks=(),
)
"""Names that say nothing of the look: only who has seen them knows their product."""


def encode(texts: Sequence[str]) -> FloatArray:
    sentences = DRAWN[1, [NAMES.index(text) for text in texts]]
    units: FloatArray = sentences / np.linalg.norm(sentences, axis=1, keepdims=True)
    return units


def measure(alignment: Alignment) -> dict[str, Any]:
    names = [NAMES[row] for row in LEFT_OUT]
    scores = alignment.project(encode(names), names) @ NAMED.vectors.T
    return {"name_recall@10": float((ranks(scores, LEFT_OUT) < 10).mean())}


def compare(known: Alignment) -> float:
    return score(before(known, NAMED, encode, learnt_from=LEARNT_FROM, measure=measure))


def test_what_was_learnt_from_all_names_is_judged_as_if_it_had_not_seen_those_left_out() -> None:
    """Otherwise nothing could be better than what knows them by heart."""
    by_heart = align(NAMED, embed_sentences(NAMED, encode))
    assert score(measure(by_heart)) > 0.8
    assert compare(by_heart) < 0.2


def test_what_is_stored_counts_where_the_catalogue_has_changed_since() -> None:
    """What would be learnt today is not what answers."""
    known = align(NAMED, embed_sentences(NAMED, encode), LEARNT_FROM)
    turned = replace(known, output=-known.output, output_bias=-known.output_bias)
    assert compare(turned) == score(measure(turned)) <= compare(known)


def test_without_names_the_precisions_of_labels_are_compared() -> None:
    assert score(
        {"precision@10 of a": 0.2, "precision@10 of b": 0.4, "queries": 0}
    ) == pytest.approx(0.3)
    assert score({"queries": 0}) == 0
