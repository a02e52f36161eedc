"""Alignments: which words count, and what is stored of them."""

from __future__ import annotations

import numpy as np
import pytest

from backend.embedders.words import Alignment, gelu, words_of
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


@pytest.mark.parametrize("damage", [b"", b"no file", b"PK\x03\x04"])
def test_what_is_damaged_is_named(damage: bytes) -> None:
    with pytest.raises(WordsUnavailable, match="damaged"):
        Alignment.from_bytes(damage)
    with pytest.raises(WordsUnavailable, match="damaged"):
        Alignment.from_bytes(alignment().to_bytes()[:-100])
