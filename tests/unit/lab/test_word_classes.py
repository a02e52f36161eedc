"""Classes beside the layer of what ships: what they hold, and which texts they answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.adaptation.name_alignment import Named, align, move
from backend.embedders import Block, FloatArray
from backend.embedders.words import Alignment
from backend.lab.training.other_words import ALL_OTHER_WORDS, OTHER_WORDS
from backend.lab.training.word_classes import FEWEST, WEIGHT, with_classes

TYPES = ("Casual Shoes", "Jeans", "Ties")
COUNT = 40
BLOCKS = (Block("look", 0, 16),)
Sentences = dict[str, FloatArray]


def shop() -> tuple[Named, Sentences]:
    """Three types with vectors of their own, whose sentences are as far apart as can be."""
    random = np.random.default_rng(0)
    of_type = np.repeat(np.arange(3), COUNT)
    vectors = np.eye(16)[of_type] + random.normal(0, 0.1, (3 * COUNT, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    types = [TYPES[it] for it in of_type]
    labels: list[list[str | None]] = [[*types], [None] * len(types), [f"Men {it}" for it in types]]
    names = [f"name {row} {it}" for row, it in enumerate(types)]
    named = Named(names=names, labels=labels, vectors=vectors.astype(np.float32), blocks=BLOCKS)
    axes: Sentences = dict(zip(TYPES, np.eye(3, dtype=np.float32), strict=True))
    axes |= {word: axes[kind] for kind in TYPES for word in OTHER_WORDS[kind]}
    return named, {text: sentence_of(text, axes) for text in texts_of(named)}


def texts_of(named: Named) -> set[str]:
    texts = {text for kind in (named.names, *named.labels) for text in kind if text}
    return texts.union(ALL_OTHER_WORDS)


def sentence_of(text: str, axes: Sentences) -> FloatArray:
    """Stand in for a text model: one number for each type that the text names, and one of noise."""
    found = np.zeros(5, np.float32)
    for word, axis in axes.items():
        if word in text:
            found[:3] = axis
    found[3 + len(text) % 2] = 0.3 if found.any() else 1
    return np.asarray(found / np.linalg.norm(found), np.float32)


def learnt() -> tuple[Alignment, Alignment, Named, Sentences]:
    named, sentences = shop()
    layer = align(named, sentences, most_words=0)
    rows = np.arange(len(named.vectors))
    return layer, with_classes(layer, named, sentences, rows), named, sentences


def test_classes_are_labels_and_other_words_for_types() -> None:
    layer, both, _, sentences = learnt()
    others = {word for kind in TYPES for word in OTHER_WORDS[kind]}
    assert len(both.class_vectors) == 2 * len(TYPES) + len(others)
    assert both.class_vectors.shape[1] == both.size
    is_sneakers = np.isclose(both.class_sentences, sentences["sneakers"], rtol=0.008)
    assert is_sneakers.all(axis=1).any()
    assert not layer.class_sentences.size


def test_a_class_weighs_more_than_the_layer_for_a_text_that_is_one() -> None:
    layer, both, named, sentences = learnt()
    names = np.stack([sentences[str(name)] for name in named.names])
    of_layer = names @ layer.output.astype(np.float32).T + layer.output_bias
    of_classes = np.linalg.norm(both.class_vectors.astype(np.float32), axis=1)
    assert of_classes.mean() == pytest.approx(
        WEIGHT * np.linalg.norm(of_layer, axis=1).mean(), rel=0.01
    )


def test_what_few_products_have_is_no_class() -> None:
    named, sentences = shop()
    layer = align(named, sentences, most_words=0)
    few = np.concatenate([np.arange(FEWEST - 1), np.arange(COUNT, COUNT + FEWEST)])
    both = with_classes(layer, named, sentences, few)
    assert len(both.class_vectors) == 2 + len(OTHER_WORDS["Jeans"])
    assert with_classes(layer, named, sentences, few[: FEWEST - 1]) is layer


def test_a_text_like_a_class_finds_its_images_where_the_layer_says_nothing() -> None:
    layer, both, named, sentences = learnt()
    silent = replace(
        both, output=np.zeros_like(both.output), output_bias=1e-6 * np.ones(both.size, np.float32)
    )
    assert layer.size == silent.size
    for place, word in enumerate(("sneakers", "denim pants", "necktie")):
        scores = silent.project(sentences[word][None], [word])[0] @ named.vectors.T
        assert set(np.argsort(-scores)[:10] // COUNT) == {place}


def test_classes_are_moved_with_the_layer_to_other_vectors() -> None:
    _, both, named, sentences = learnt()
    turn = np.random.default_rng(1).normal(size=(16, 16)).astype(np.float32)
    after = replace(named, vectors=named.vectors @ turn)
    moved = Alignment.from_bytes(move(both, named.vectors, after).to_bytes())
    asked = ["sneakers", "Men Ties"]
    read = np.stack([sentences[it] for it in asked])
    old = both.project(read, asked) @ named.vectors.T
    new = moved.project(read, asked) @ after.vectors.T
    assert all(np.corrcoef(one, other)[0, 1] > 0.99 for one, other in zip(old, new, strict=True))


def test_numbers_are_stored_with_six_binary_digits() -> None:
    _, both, named, sentences = learnt()
    for values in (both.class_sentences, both.class_vectors):
        assert not (values.view(np.uint16) & 0b1111).any()
    likeness = (both.class_sentences.astype(np.float32) * sentences["Ties"]).sum(axis=1).max()
    assert likeness == pytest.approx(1, abs=0.008)
    assert both.class_vectors.shape == (len(both.class_sentences), named.vectors.shape[1])
