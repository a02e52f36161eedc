"""Learn how the words of a shop's names map to its vectors: in closed form, without a gradient.

Canonical correlation with shrinkage: directions of texts and of images that foretell each other,
each as long as it does so. Texts are names and the values of labels, such as "Blue Shirts".
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from backend.embedders import Block, FloatArray
from backend.embedders.words import Alignment, words_of

Encode = Callable[[Sequence[str]], FloatArray]
Texts = Sequence[str | None]
Doubles = npt.NDArray[np.float64]

FEWEST_NAMES: Final = 300
FEWEST: Final = 3  # names that hold a word
MOST_WORDS: Final = 2_000
LABEL_SHARE: Final = 0.4  # of all labels together, beside 1 of the names
TEXT_RIDGE, IMAGE_RIDGE = 1.0, 0.03  # of the mean variance
AXES: Final = 256
HELD_OUT: Final = 5  # one name of so many is judged with
MOST_QUERIES: Final = 1_000
FIRST: Final = 10  # products among which the right one has to be
LEAST_OF_CHANCE: Final = 5
"""How much better than chance names have to find their product."""
AT_ONCE: Final = 256  # sentences between two heartbeats


@dataclass(frozen=True, kw_only=True)
class Named:
    """Products as they are called and as they look."""

    names: Texts
    labels: Sequence[Texts]  # kinds of label -> a text for each product
    vectors: FloatArray
    blocks: Sequence[Block]


@dataclass(frozen=True, kw_only=True)
class Learnt:
    """What was learnt from all names, and how names that were left out find their product."""

    alignment: Alignment
    quality: Mapping[str, Any]
    is_useful: bool


def learn_words(
    named: Named,
    encode: Encode | None,
    *,
    known: Alignment | None = None,
    heartbeat: Callable[[], None] = lambda: None,
) -> Learnt | None:
    """Learn from four fifths of the names and judge by the others, then learn from all.

    `encode` embeds sentences; None: words alone are read. It is useful if it is better than `known`
    and than chance. Returns None where too few products have a name.
    """
    has_name = np.array([bool(name) for name in named.names])
    if has_name.sum() < FEWEST_NAMES:
        return None
    sentences = _sentences(named, encode, heartbeat)
    left_out = np.array([zlib.crc32((name or "").encode()) % HELD_OUT == 0 for name in named.names])
    trial = _learn(named, sentences, np.flatnonzero(~left_out))
    heartbeat()
    queries = np.flatnonzero(left_out & has_name)[:MOST_QUERIES]
    found = _recall(trial, named, sentences, queries)
    before = 0.0
    if known is not None and known.reads_sentences <= (encode is not None):
        before = _recall(known, named, sentences, queries)
    chance = FIRST / len(named.vectors)
    quality = {
        "products": int(has_name.sum()),
        "words": len(trial.words),
        "queries": len(queries),
        f"name_recall@{FIRST}": round(found, 4),
        "sentences": encode is not None,
    }
    return Learnt(
        alignment=_learn(named, sentences, np.arange(len(named.vectors))),
        quality=quality,
        is_useful=found > max(before, LEAST_OF_CHANCE * chance),
    )


def _sentences(
    named: Named, encode: Encode | None, heartbeat: Callable[[], None]
) -> dict[str, FloatArray]:
    """Embed each text once; without `encode` all are empty."""
    texts = sorted({text for kind in (named.names, *named.labels) for text in kind if text})
    if encode is None:
        return dict.fromkeys(texts, np.empty(0, np.float32))
    found: dict[str, FloatArray] = {}
    for start in range(0, len(texts), AT_ONCE):
        part = texts[start : start + AT_ONCE]
        found |= zip(part, encode(part), strict=True)
        heartbeat()
    return found


def _learn(
    named: Named, sentences: Mapping[str, FloatArray], rows: npt.NDArray[np.intp]
) -> Alignment:
    words, rarity = _vocabulary([named.names[row] for row in rows])
    start = _empty(named, words, rarity)
    vectors = named.vectors - named.vectors[rows].mean(axis=0)
    names = [text for row in rows if (text := named.names[row])]
    mean = _inputs(start, sentences, names).mean(axis=0)
    text_covariance: Doubles = np.zeros((len(mean), len(mean)))
    shared: Doubles = np.zeros((len(mean), vectors.shape[1]))
    kinds = [(named.names, 1.0), *((it, LABEL_SHARE / len(named.labels)) for it in named.labels)]
    for texts, weight in kinds:
        told, counts, sums = _sum_by_text(texts, vectors, rows)
        if told:
            inputs = _inputs(start, sentences, told) - mean
            text_covariance += weight / len(rows) * (inputs * counts[:, None]).T @ inputs
            shared += weight / len(rows) * inputs.T @ sums
    image_covariance = np.asarray(vectors[rows].T @ vectors[rows] / len(rows), np.float64)
    slopes = _correlate(text_covariance, image_covariance, shared).astype(np.float32)
    return _replace_layers(start, slopes, mean)


def _correlate(texts: Doubles, images: Doubles, shared: Doubles) -> Doubles:
    """Return the map from texts to the space of images: (inputs, size)."""
    variances, axes = np.linalg.eigh(_ridged(images, IMAGE_RIDGE))
    whitened = axes * variances**-0.5
    slopes = np.linalg.solve(_ridged(texts, TEXT_RIDGE), shared @ whitened)
    _, turned = np.linalg.eigh((shared @ whitened).T @ slopes)
    best = turned[:, ::-1][:, :AXES]
    found: Doubles = slopes @ best @ best.T @ whitened.T
    return found


def _ridged(covariance: Doubles, share: float) -> Doubles:
    variance = float(np.trace(covariance)) / len(covariance)
    ridged: Doubles = covariance + share * variance * np.eye(len(covariance))
    return ridged


def _sum_by_text(
    texts: Texts, vectors: FloatArray, rows: npt.NDArray[np.intp]
) -> tuple[list[str], FloatArray, FloatArray]:
    """Return the different texts, how many products have each, and the sums of their vectors."""
    numbers: dict[str, int] = {}
    told = [row for row in rows if texts[row]]
    codes = np.array([numbers.setdefault(str(texts[row]), len(numbers)) for row in told], np.intp)
    sums = np.zeros((len(numbers), vectors.shape[1]), np.float32)
    np.add.at(sums, codes, vectors[told])
    return list(numbers), np.bincount(codes, minlength=len(numbers)).astype(np.float32), sums


def _inputs(
    start: Alignment, sentences: Mapping[str, FloatArray], texts: Sequence[str]
) -> FloatArray:
    return np.hstack([np.stack([sentences[text] for text in texts]), start.bags(texts)])


def _recall(
    alignment: Alignment,
    named: Named,
    sentences: Mapping[str, FloatArray],
    queries: npt.NDArray[np.intp],
) -> float:
    """Return the share of names that find their product among the first ten of all."""
    names = [str(named.names[row]) for row in queries]
    if not names:
        return 0.0
    embedded = np.stack([sentences[name] for name in names])
    scores = alignment.project(embedded, names) @ named.vectors.T
    own = scores[np.arange(len(queries)), queries]
    return float(((scores > own[:, None]).sum(axis=1) < FIRST).mean())


def _vocabulary(names: Texts) -> tuple[tuple[str, ...], FloatArray]:
    """Return the words of enough names, the most frequent first, and how rare each is."""
    counts = Counter(word for name in names if name for word in words_of(name))
    ordered = sorted(counts.items(), key=lambda it: (-it[1], it[0]))[:MOST_WORDS]
    kept = [(word, count) for word, count in ordered if count >= FEWEST]
    rarity = [np.log(len(names) / count) for _, count in kept]
    return tuple(word for word, _ in kept), np.array(rarity, np.float32)


def _empty(named: Named, words: tuple[str, ...], rarity: FloatArray) -> Alignment:
    lengths = {
        it.name: float(np.linalg.norm(named.vectors[:, it.start : it.stop], axis=1).mean())
        for it in named.blocks
    }
    none = np.empty((0, 0), np.float16)
    return Alignment(
        words=words,
        rarity=rarity,
        hidden=none,
        hidden_bias=np.empty(0, np.float32),
        output=none,
        output_bias=np.empty(0, np.float32),
        lengths=lengths,
        provenance={"learnt": "in closed form", "products": len(named.vectors)},
    )


def _replace_layers(start: Alignment, slopes: FloatArray, mean: FloatArray) -> Alignment:
    scale = 1 / np.abs(slopes).max(initial=1e-9)  # float16 has little room; lengths do not matter
    output = (scale * slopes.T).astype(np.float16)
    return replace(start, output=output, output_bias=-output.astype(np.float32) @ mean)
