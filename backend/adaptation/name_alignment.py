"""How the words of names map to the vectors of images, learnt without a network.

A ridge regression from texts to the vectors that they stand for, divided by the covariance of all
vectors: what few images have counts more (canonical correlation with shrinkage). `contrasting`
goes on from there. Texts are names and the values of labels, such as "Blue Shirts".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from backend.adaptation.contrasting import DescribedImages, Rows, Texts, sharpen
from backend.embedders import Block, FloatArray
from backend.embedders.words import Alignment, words_of

Encode = Callable[[Sequence[str]], FloatArray]
Doubles = npt.NDArray[np.float64]

FEWEST: Final = 3  # names that hold a word
MOST_WORDS: Final = 2_000
LABEL_SHARE: Final = 0.4  # of all labels together, beside 1 of the names
SENTENCE_RIDGE, WORD_RIDGE = 400, 4_000  # of the mean variance, divided by the count of names
LEAST_RIDGE: Final = 1e-9  # where no text differs from another
IMAGE_RIDGE: Final = 0.03  # of the mean variance
SCORE_RIDGE: Final = 0.001  # of the mean variance, where an alignment is moved
AT_ONCE: Final = 256  # sentences between two heartbeats
INPUTS_AT_ONCE: Final = 4_096  # texts whose inputs are held
ZERO: Final = np.zeros(1)


@dataclass(frozen=True, kw_only=True)
class Named:
    """Products as they are called and as they look."""

    names: Texts
    labels: Sequence[Texts]  # kinds of label -> a text for each product
    vectors: FloatArray
    blocks: Sequence[Block]


def embed_sentences(
    named: Named, encode: Encode | None, heartbeat: Callable[[], None] = lambda: None
) -> dict[str, FloatArray]:
    """Embed each text of products once: text -> (384,); without `encode` all are empty."""
    texts = sorted({text for kind in (named.names, *named.labels) for text in kind if text})
    if encode is None:
        return dict.fromkeys(texts, np.empty(0, np.float32))
    found: dict[str, FloatArray] = {}
    for start in range(0, len(texts), AT_ONCE):
        part = texts[start : start + AT_ONCE]
        found |= zip(part, encode(part), strict=True)
        heartbeat()
    return found


def align(
    named: Named,
    sentences: Mapping[str, FloatArray],
    rows: Rows | None = None,
    *,
    most_words: int = MOST_WORDS,
    heartbeat: Callable[[], None] = lambda: None,
) -> Alignment:
    """Learn from the texts of `rows`, of all products if None, with so many words at most.

    `sentences` are those of `embed_sentences`. Scores are cosines to the vectors of `named`.
    """
    rows = np.arange(len(named.vectors)) if rows is None else rows
    words, rarity = _vocabulary([named.names[row] for row in rows], most_words)
    start = _empty(named, words, rarity)
    vectors = named.vectors - named.vectors[rows].mean(axis=0)
    texts = _moments(start, sentences, named, vectors, rows)
    first = _slopes(texts, vectors[rows], sentence_inputs=len(texts.mean) - len(words))
    described = DescribedImages(
        vectors=vectors[rows],
        kinds=[[kind[row] for row in rows] for kind in (named.names, *named.labels)],
        inputs=lambda asked: (_join(start, sentences, asked) - texts.mean).astype(np.float32),
    )
    slopes = sharpen(described, first.astype(np.float32), heartbeat=heartbeat)
    return _replace_layers(start, slopes, texts.mean.astype(np.float32))


@dataclass(frozen=True, kw_only=True)
class _Moments:
    """What texts have in common with each other, and with the images that they stand for."""

    named: int  # products with a name, at least 1
    mean: Doubles  # (inputs,), of the names
    covariance: Doubles  # (inputs, inputs), of names and labels by their weights
    shared: Doubles  # (inputs, size): covariance with the vectors


def _moments(
    start: Alignment,
    sentences: Mapping[str, FloatArray],
    named: Named,
    vectors: FloatArray,
    rows: Rows,
) -> _Moments:
    """Return the moments of the texts of `rows`; `vectors` have a mean of 0 there."""
    told = Counter(text for row in rows if (text := named.names[row]))
    count = max(1, told.total())
    mean = (
        sum((counts @ inputs for counts, inputs in _inputs(start, sentences, told)), ZERO) / count
    )
    covariance: Doubles = np.zeros((len(mean), len(mean)))
    shared: Doubles = np.zeros((len(mean), vectors.shape[1]))
    kinds = [(named.names, 1.0), *((it, LABEL_SHARE / len(named.labels)) for it in named.labels)]
    for texts, weight in kinds:
        told, sums = _sum_by_text(texts, vectors, rows)
        done = 0
        for counts, inputs in _inputs(start, sentences, told):
            centred = inputs - mean
            covariance += weight / len(rows) * (centred * counts[:, None]).T @ centred
            shared += weight / len(rows) * centred.T @ sums[done : done + len(counts)]
            done += len(counts)
    return _Moments(named=count, mean=mean, covariance=covariance, shared=shared)


def _slopes(texts: _Moments, vectors: FloatArray, *, sentence_inputs: int) -> Doubles:
    """Return (inputs, size): a ridge regression, divided by the covariance of the vectors.

    `sentence_inputs` is how many of the inputs, the first ones, are those of sentences.
    """
    image_covariance = np.asarray(vectors.T @ vectors / len(vectors), np.float64)
    ridges = _ridges(texts.covariance, sentence_inputs) / texts.named
    ridged = texts.covariance + np.diag(ridges)
    predicted = np.linalg.solve(ridged, texts.shared)
    slopes: Doubles = np.linalg.solve(_ridged(image_covariance, IMAGE_RIDGE), predicted.T).T
    return slopes


def move(alignment: Alignment, before: FloatArray, named: Named) -> Alignment:
    """Make an alignment for other vectors of the same images: scores stay as near as they can.

    `before` (products, any size) has the vectors that it was made for, and `named` those that it is
    moved to. The map is the ridge regression of the old vectors on the new ones, both centred.
    """
    after = named.vectors - named.vectors.mean(axis=0)
    covariance = np.asarray(after.T @ after / len(after), np.float64)
    shared = np.asarray(after.T @ (before - before.mean(axis=0)) / len(after), np.float64)
    matrix = np.linalg.solve(_ridged(covariance, SCORE_RIDGE), shared)
    output = matrix @ alignment.output.astype(np.float64)
    scale = 1 / np.abs(output).max(initial=1e-9)
    return replace(
        alignment,
        output=(scale * output).astype(np.float16),
        output_bias=(scale * matrix @ alignment.output_bias).astype(np.float32),
        lengths=_lengths(named),
        class_vectors=_move_classes(alignment.class_vectors, scale * matrix),
    )


def _move_classes(vectors: npt.NDArray[np.float16], matrix: Doubles) -> npt.NDArray[np.float16]:
    if not vectors.size:
        return vectors
    return np.asarray(vectors.astype(np.float64) @ matrix.T, np.float16)


def _ridges(covariance: Doubles, sentences: int) -> Doubles:
    """Return what is added to each variance, for one name: sentences and words have their own."""
    variances = np.diag(covariance)
    ridges = np.zeros_like(variances)
    for part, share in (
        (slice(0, sentences), SENTENCE_RIDGE),
        (slice(sentences, None), WORD_RIDGE),
    ):
        if variances[part].size:
            ridges[part] = max(share * variances[part].mean(), LEAST_RIDGE)
    return ridges


def _ridged(covariance: Doubles, share: float) -> Doubles:
    variance = float(np.trace(covariance)) / len(covariance)
    ridged: Doubles = covariance + share * variance * np.eye(len(covariance))
    return ridged


def _sum_by_text(texts: Texts, vectors: FloatArray, rows: Rows) -> tuple[Counter[str], FloatArray]:
    """Return how many products have each text, and the sums of their vectors, in its order."""
    numbers: dict[str, int] = {}
    told = [row for row in rows if texts[row]]
    codes = np.array([numbers.setdefault(str(texts[row]), len(numbers)) for row in told], np.intp)
    sums = np.zeros((len(numbers), vectors.shape[1]), np.float32)
    np.add.at(sums, codes, vectors[told])
    counts = np.bincount(codes, minlength=len(numbers))
    return Counter(dict(zip(numbers, counts.tolist(), strict=True))), sums


def _inputs(
    start: Alignment, sentences: Mapping[str, FloatArray], told: Counter[str]
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Yield how many products have each text, and the inputs of texts, in parts."""
    texts = list(told)
    for at in range(0, len(texts), INPUTS_AT_ONCE):
        part = texts[at : at + INPUTS_AT_ONCE]
        counts = np.array([told[text] for text in part], np.float32)
        yield counts, _join(start, sentences, part)


def _join(
    start: Alignment, sentences: Mapping[str, FloatArray], texts: Sequence[str]
) -> FloatArray:
    """Return the inputs of texts: (n, sentence + words)."""
    return np.hstack([np.stack([sentences[text] for text in texts]), start.bags(texts)])


def _vocabulary(names: Texts, most: int) -> tuple[tuple[str, ...], FloatArray]:
    """Return the words of enough names, the most frequent first, and how rare each is."""
    counts = Counter(word for name in names if name for word in words_of(name))
    ordered = sorted(counts.items(), key=lambda it: (-it[1], it[0]))[:most]
    kept = [(word, count) for word, count in ordered if count >= FEWEST]
    rarity = [np.log(len(names) / count) for _, count in kept]
    return tuple(word for word, _ in kept), np.array(rarity, np.float32)


def _lengths(named: Named) -> dict[str, float]:
    return {
        it.name: float(np.linalg.norm(named.vectors[:, it.start : it.stop], axis=1).mean())
        for it in named.blocks
    }


def _empty(named: Named, words: tuple[str, ...], rarity: FloatArray) -> Alignment:
    none = np.empty((0, 0), np.float16)
    return Alignment(
        words=words,
        rarity=rarity,
        hidden=none,
        hidden_bias=np.empty(0, np.float32),
        output=none,
        output_bias=np.empty(0, np.float32),
        lengths=_lengths(named),
        provenance={"learnt": "in closed form", "products": len(named.vectors)},
    )


def _replace_layers(start: Alignment, slopes: FloatArray, mean: FloatArray) -> Alignment:
    scale = 1 / np.abs(slopes).max(initial=1e-9)  # float16 has little room; lengths do not matter
    output = (scale * slopes.T).astype(np.float16)
    return replace(start, output=output, output_bias=-output.astype(np.float32) @ mean)
