"""Classes of what ships for queries in words: labels, and how their images look on average.

One layer fits the names of the shop that it was learnt on, and words that no name there had lead
it in any direction. A class is a label, such as "Blue Shirts", or another word for a type, such as
"sneakers", with the mean of its images. A text shares the classes whose sentences are like its own
(kernel regression, https://doi.org/10.1137/1109020), so MiniLM decides what the words of another
shop are like.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from backend.adaptation.contrasting import Rows, Texts
from backend.adaptation.name_alignment import Named
from backend.embedders import FloatArray
from backend.embedders.words import Alignment
from backend.lab.training.other_words import OTHER_WORDS

KINDS: Final = 3  # of labels: type, colour and type, gender and type
FEWEST: Final = 25  # products of a class
WEIGHT: Final = 4  # of a text that is a class, beside 1 of the layer
EVENED: Final = 0.5  # 0: images stay as they are, 1: they are divided by their covariance
LEAST_VARIANCE: Final = 0.03  # of the mean one, added to each


def with_classes(
    alignment: Alignment, named: Named, sentences: Mapping[str, FloatArray], rows: Rows
) -> Alignment:
    """Add the classes that enough of `rows` have to one layer that reads sentences alone.

    `sentences` has those (384,) of all names, labels and OTHER_WORDS; `rows` are products.
    """
    vectors = named.vectors[rows] - named.vectors[rows].mean(axis=0)
    places_of = _rows_of_texts(named.labels, rows)
    names = {name for row in rows if (name := named.names[row])}
    if not places_of or not names:
        return alignment
    means = np.stack([vectors[places].mean(axis=0) for places in places_of.values()])
    evened = means @ _even(vectors)
    evened *= WEIGHT * _length(alignment, names, sentences) / _mean_length(evened)
    return replace(
        alignment,
        class_sentences=_shortened(np.stack([sentences[text] for text in places_of])),
        class_vectors=_shortened(evened),
    )


def _rows_of_texts(labels: Sequence[Texts], rows: Rows) -> dict[str, list[int]]:
    """Return the places in `rows` of each text that is frequent enough."""
    found: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        told = {text for kind in labels[:KINDS] if (text := kind[row])}
        for text in sorted(told.union(OTHER_WORDS.get(labels[0][row] or "", ()))):
            found.setdefault(text, []).append(place)
    return {text: places for text, places in found.items() if len(places) >= FEWEST}


def _even(vectors: FloatArray) -> FloatArray:
    """Return a matrix (size, size) that lets directions of little variance count more."""
    variances, axes = np.linalg.eigh(np.asarray(vectors.T @ vectors / len(vectors), np.float64))
    variances = np.maximum(variances, 0) + LEAST_VARIANCE * variances.mean()
    return np.asarray((axes * variances**-EVENED) @ axes.T, np.float32)


def _shortened(values: FloatArray) -> npt.NDArray[np.float16]:
    """Round to float16 without its last four binary digits, so that the file is a quarter smaller.

    A number changes by 0.8% at most, and an answer is a sum of hundreds of them.
    """
    digits = values.astype(np.float16).view(np.uint16)
    return ((digits + 0b1000) & 0xFFF0).astype(np.uint16).view(np.float16)


def _length(
    alignment: Alignment, names: Collection[str], sentences: Mapping[str, FloatArray]
) -> float:
    """Return how long the output of the layer is for names, on average."""
    inputs = np.stack([sentences[name] for name in sorted(names)])
    return _mean_length(inputs @ alignment.output.astype(np.float32).T + alignment.output_bias)


def _mean_length(vectors: FloatArray) -> float:
    return float(np.linalg.norm(vectors, axis=1).mean())
