"""What the words of names look like: learnt without a gradient, judged on names left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from backend.adaptation.learning_words import FEWEST_NAMES, learn_words
from backend.adaptation.name_alignment import Encode, Named, align, embed_sentences, move
from backend.embedders import Block, FloatArray
from backend.embedders.words import Alignment

BRANDS = [f"brand{number}" for number in range(20)]
THINGS = [f"thing{number}" for number in range(20)]
COUNT = 400
BLOCKS = (Block("look", 0, 24), Block("colour", 24, 32))


def named(*, count: int = COUNT, tell: bool = True) -> Named:
    """Products whose vectors are the sum of those of a brand and of a thing, their names."""
    random = np.random.default_rng(0)
    of_brand, of_thing = random.normal(size=(2, 20, 32))
    brand, thing = np.arange(count) % 20, np.arange(count) // 20
    vectors = of_brand[brand] + of_thing[thing] + random.normal(0, 0.05, (count, 32))
    vectors = vectors if tell else random.normal(size=(count, 32))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = [f"{BRANDS[one]} {THINGS[other]}" for one, other in zip(brand, thing, strict=True)]
    labels = [[THINGS[other] for other in thing]]
    return Named(names=names, labels=labels, vectors=vectors.astype(np.float32), blocks=BLOCKS)


def lengths_of_texts(texts: Sequence[str]) -> FloatArray:
    """Stand in for a text model: two numbers of each sentence."""
    return np.array([[len(text), 1] for text in texts], np.float32)


def test_names_that_were_left_out_find_their_products_by_words_alone() -> None:
    learnt = learn_words(named(), None)
    assert learnt is not None
    assert learnt.is_useful
    assert learnt.quality["name_recall@10"] > 0.9
    assert learnt.quality["sentences"] is False
    alignment = Alignment.from_bytes(learnt.alignment.to_bytes())
    assert not alignment.reads_sentences
    assert set(alignment.lengths) == {"look", "colour"}
    scores = alignment.project(np.empty((1, 0), np.float32), ["Thing7"])[0] @ named().vectors.T
    best = np.argsort(-scores)[:10]
    assert {int(row) // 20 for row in best} == {7}  # a label, as the text


def test_sentences_are_read_beside_words() -> None:
    learnt = learn_words(named(), lengths_of_texts)
    assert learnt is not None
    assert learnt.alignment.reads_sentences
    assert learnt.quality["name_recall@10"] > 0.9


def test_names_that_say_nothing_are_not_kept() -> None:
    learnt = learn_words(named(tell=False), None)
    assert learnt is not None
    assert not learnt.is_useful


def test_what_is_as_good_already_stays() -> None:
    first = learn_words(named(), None)
    assert first is not None
    again = learn_words(named(), None, known=first.alignment)
    assert again is not None
    assert not again.is_useful


@pytest.mark.parametrize("name", ["Product {}", "x{}", "Shirt"])
@pytest.mark.parametrize("encode", [None, lengths_of_texts])
def test_names_without_a_word_that_tells_them_apart_are_not_kept(
    name: str, encode: Encode | None
) -> None:
    found = named()
    names = [name.format(number) for number in range(COUNT)]
    learnt = learn_words(replace(found, names=names, labels=[[None] * COUNT]), encode)
    assert learnt is not None
    assert not learnt.is_useful
    assert learnt.quality["name_recall@10"] < 0.2


def test_few_names_teach_nothing() -> None:
    assert learn_words(replace(named(), names=["Product"] * COUNT), None) is None
    assert learn_words(named(count=FEWEST_NAMES - 1), None) is None


def test_without_words_the_sentences_alone_are_read() -> None:
    shop = named()
    sentences = {text: numbers_of(text) for text in {*shop.names, *shop.labels[0]} if text}
    alignment = align(shop, sentences, most_words=0)
    assert (alignment.words, alignment.reads_sentences) == ((), True)
    scores = alignment.project(sentences["thing7"][None], ["thing7"])[0] @ shop.vectors.T
    assert {int(row) // 20 for row in np.argsort(-scores)[:10]} == {7}


def numbers_of(text: str) -> FloatArray:
    """Stand in for a text model that tells brands and things apart: (40,)."""
    found = np.zeros(40, np.float32)
    for word in text.split():
        found[(BRANDS + THINGS).index(word)] = 1
    return found / np.linalg.norm(found)


def test_what_is_moved_to_other_vectors_scores_as_before() -> None:
    before = named()
    turn = np.random.default_rng(1).normal(size=(32, 32)).astype(np.float32)
    after = replace(before, vectors=before.vectors @ turn, blocks=(Block("look", 0, 32),))
    alignment = align(before, embed_sentences(before, None))
    moved = move(alignment, before.vectors, after)
    asked = ["brand3 thing7", "thing2"]
    none = np.empty((2, 0), np.float32)
    old = alignment.project(none, asked) @ before.vectors.T
    new = moved.project(none, asked) @ after.vectors.T
    assert all(np.corrcoef(one, other)[0, 1] > 0.99 for one, other in zip(old, new, strict=True))
    assert set(moved.lengths) == {"look"}
