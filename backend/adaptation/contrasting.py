"""Sharpen an alignment: each text nearest to its own images among those of a batch, and back.

The closed form of `name_alignment` predicts each vector by itself. A contrastive loss
(https://arxiv.org/abs/2103.00020) then learns what distinguishes a product from others of its kind.
It trains one layer in a few passes, with gradients written out, so NumPy is enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from backend.embedders import FloatArray

Rows = npt.NDArray[np.intp]
Texts = Sequence[str | None]

PASSES: Final = 4
BATCH: Final = 1_024
BATCHES: Final = 8  # of a pass, at least: a small shop gets smaller ones
LABEL_SHARE: Final = 0.3  # of the texts
WHITENING: Final = 0.5  # 0: images stay as they are, 1: they are whitened
LEAST_VARIANCE: Final = 0.01  # of the mean one, added to each
RATE: Final = 4e-3  # the largest, after a quarter of all steps
SHARPNESS: Final = 2.5  # logarithm of the factor of scores, at first
SHARPNESS_RATE: Final = 2e-2


@dataclass(frozen=True, kw_only=True)
class DescribedImages:
    """Images, and the texts of each: the first kind is the name, the others are labels."""

    vectors: FloatArray  # (n, size), of mean 0
    kinds: Sequence[Texts]
    inputs: Callable[[Sequence[str]], FloatArray]  # texts -> (texts, inputs), of mean 0


def sharpen(
    described: DescribedImages, slopes: FloatArray, *, heartbeat: Callable[[], None]
) -> FloatArray:
    """Return slopes (inputs, size) after training. Equal arguments give equal results."""
    whitening, back = _whiten(described.vectors)
    images = described.vectors @ whitening
    weights = slopes @ back
    batch = min(BATCH, max(2, len(images) // BATCHES))
    steps = PASSES * (len(images) // batch)
    layer, sharpness = _Adam(weights), _Adam(np.array([SHARPNESS], np.float32))
    scaled = False
    for step, (rows, texts) in enumerate(_batches(described, batch)):
        rate = _rate(step / steps)
        inputs = described.inputs(texts)
        if not scaled:
            layer.value /= max(float(np.linalg.norm(inputs @ layer.value, axis=1).mean()), 1e-9)
            scaled = True
        of_layer, of_sharpness = gradients(
            inputs, images[rows], same_texts(texts), layer.value, np.exp(sharpness.value[0])
        )
        layer.step(of_layer, RATE * rate)
        sharpness.step(of_sharpness, SHARPNESS_RATE * rate)
        heartbeat()
    return np.asarray(layer.value @ whitening.T, np.float32)


def _whiten(vectors: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return two matrices (size, size): one whitens images in part, to a mean length of 1.

    The other turns slopes that predict images into slopes that predict whitened images.
    """
    variances, axes = np.linalg.eigh(np.asarray(vectors.T @ vectors / len(vectors), np.float64))
    variances = np.maximum(variances, 0) + LEAST_VARIANCE * variances.mean()
    whitening = axes * variances ** (-WHITENING / 2)
    length = np.linalg.norm(vectors @ whitening.astype(np.float32), axis=1).mean()
    back = length * axes * variances ** (WHITENING / 2)
    return (whitening / length).astype(np.float32), back.astype(np.float32)


def _batches(described: DescribedImages, size: int) -> Iterator[tuple[Rows, list[str]]]:
    """Yield the images and texts of batches, PASSES times all images; each has one text drawn."""
    random = np.random.RandomState(0)
    for _ in range(PASSES):
        order = random.permutation(len(described.vectors))
        labelled = random.random_sample(len(order)) < LABEL_SHARE
        drawn = np.where(labelled, random.randint(0, len(described.kinds), len(order)), 0)
        for start in range(0, len(order) - size + 1, size):
            part = slice(start, start + size)
            told = [
                (row, text)
                for row, kind in zip(order[part], drawn[part], strict=True)
                if (text := described.kinds[kind][row] or described.kinds[0][row])
            ]
            if told:
                yield np.array([row for row, _ in told], np.intp), [text for _, text in told]


def same_texts(texts: Sequence[str]) -> FloatArray:
    """Return (texts, texts): whether two are equal, so that the image of one is right for both."""
    codes = np.unique(texts, return_inverse=True)[1]
    return np.asarray(codes[:, None] == codes, np.float32)


def gradients(
    inputs: FloatArray, images: FloatArray, same: FloatArray, layer: FloatArray, factor: np.float32
) -> tuple[FloatArray, FloatArray]:
    """Return the gradients of the mean cross entropy of both directions: of `layer`, of log factor.

    `inputs` (n, inputs), `images` (n, size), `same` (n, n) as in `same_texts`, `layer` (inputs,
    size). Scores are factor · inputs · layer · imagesᵀ (InfoNCE, https://arxiv.org/abs/2103.00020).
    """
    scores = np.asarray(factor * (inputs @ layer) @ images.T, np.float32)
    by_text = _softmax(scores) - same / same.sum(axis=1, keepdims=True)
    by_image = _softmax(scores.T).T - same / same.sum(axis=0)
    of_scores = (by_text + by_image) / (2 * len(inputs))
    of_layer = inputs.T @ (factor * of_scores @ images)
    return of_layer, np.array([(of_scores * scores).sum()], np.float32)


def _softmax(scores: FloatArray) -> FloatArray:
    found = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(found / found.sum(axis=1, keepdims=True), np.float32)


def _rate(done: float) -> float:
    """Return the share of the largest rate: up in the first quarter of the steps, then down."""
    warm = 0.25
    if done < warm:
        return 0.04 + 0.96 * done / warm
    return float((1 + np.cos(np.pi * (done - warm) / (1 - warm))) / 2)


class _Adam:
    """Values that follow their gradients (https://arxiv.org/abs/1412.6980)."""

    def __init__(self, value: FloatArray) -> None:
        self.value = value.astype(np.float32)
        self._mean = np.zeros_like(self.value)
        self._square = np.zeros_like(self.value)
        self._steps = 0

    def step(self, gradient: FloatArray, rate: float) -> None:
        self._steps += 1
        self._mean += 0.1 * (gradient - self._mean)
        self._square += 0.001 * (gradient**2 - self._square)
        mean = self._mean / (1 - 0.9**self._steps)
        square = self._square / (1 - 0.999**self._steps)
        self.value -= np.float32(rate) * mean / (np.sqrt(square) + np.float32(1e-8))
