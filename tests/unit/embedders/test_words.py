"""Alignments: which words count, and what is stored of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.embedders.words import CLASS_GATE, Alignment, gelu, words_of
from backend.errors import WordsUnavailable


def alignment() -> Alignment:
    drawn = np.random.default_rng(0)
    return Alignment(
        words=("puma", "shirt", "größe"),
        rarity=np.array([2.0, 1.0, 3.0], np.float32),
        hidden=drawn.normal(size=(6, 4 + 3)).astype(np.float16),
        hidden_bias=drawn.normal(size=6).astype(np.float32),
        output=drawn.normal(size=(5, 6)).astype(np.float16),
        output_bias=drawn.normal(size=5).astype(np.float32),
        lengths={"look": 0.9, "colour": 0.4},
        provenance={"products": 12},
    )


def test_words_are_letters_and_digits_in_lower_case() -> None:
    assert words_of("PUMA Men's T-Shirt, Größe 42") == {
        *("puma", "men", "s", "t", "shirt", "größe", "42")
    }


def test_a_bag_holds_known_words_by_rarity() -> None:
    bags = alignment().bags(["Puma shirt puma", "GRÖSSE shoes", "Größe"])
    assert bags == pytest.approx(np.array([[2, 1, 0], [0, 0, 0], [0, 0, 5**0.5]]) / 5**0.5)


def test_a_projection_is_two_layers_at_length_1() -> None:
    one, sentence = alignment(), np.ones((1, 4), np.float32) / 2
    found = one.project(sentence, ["shirt"])
    inputs = np.hstack([sentence[0], [0, 1, 0]])
    units = gelu(one.hidden.astype(np.float32) @ inputs.astype(np.float32) + one.hidden_bias)
    expected = one.output.astype(np.float32) @ units + one.output_bias
    assert found[0] == pytest.approx(expected / np.linalg.norm(expected), abs=1e-5)
    assert one.size == 5


def test_what_is_stored_is_read_again() -> None:
    one = alignment()
    again = Alignment.from_bytes(one.to_bytes())
    assert (again.words, again.lengths, again.provenance) == (
        one.words,
        one.lengths,
        one.provenance,
    )
    sentence = np.ones((1, 4), np.float32)
    assert np.array_equal(again.project(sentence, ["puma"]), one.project(sentence, ["puma"]))


def with_classes() -> Alignment:
    """Two classes, the sentences of which are two axes."""
    return replace(
        alignment(),
        class_sentences=np.eye(2, 4).astype(np.float16),
        class_vectors=np.array([[9, 0, 0, 0, 0], [0, 9, 0, 0, 0]], np.float16),
    )


def test_classes_are_shared_by_likeness_and_less_by_what_is_like_none() -> None:
    one = with_classes()
    asked = np.array([[1, 0, 0, 0], [0.6, 0.6, 0, 0.5], [0, 0, 0.8, 0.6]], np.float32)
    added = one._share_classes(asked)
    assert added[0] == pytest.approx([9, 0, 0, 0, 0], abs=1e-3)
    gate = np.exp(-CLASS_GATE * 0.4)
    assert added[1] == pytest.approx(gate * np.array([4.5, 4.5, 0, 0, 0]), rel=1e-3)
    assert np.linalg.norm(added[2]) < 1e-4


def test_a_projection_adds_what_classes_say() -> None:
    sentence = np.eye(1, 4, dtype=np.float32)
    layers, both = alignment(), with_classes()
    assert both.project(sentence, ["x"])[0, 0] > layers.project(sentence, ["x"])[0, 0]
    again = Alignment.from_bytes(both.to_bytes())
    assert np.array_equal(again.project(sentence, ["x"]), both.project(sentence, ["x"]))
    assert np.array_equal(again.class_vectors, both.class_vectors)


@pytest.mark.parametrize("damage", [b"", b"no file", b"PK\x03\x04"])
def test_what_is_damaged_is_named(damage: bytes) -> None:
    with pytest.raises(WordsUnavailable, match="damaged"):
        Alignment.from_bytes(damage)
    with pytest.raises(WordsUnavailable, match="damaged"):
        Alignment.from_bytes(alignment().to_bytes()[:-100])
