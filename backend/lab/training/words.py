"""Learn how the texts of a catalogue map to the vectors of its images.

Each product gives pairs of its image and a text: its name, or values of its labels, such as "Blue
Shirts". Two layers are trained so that a text is nearest to the images that it describes among
those of a batch, and an image to its texts (contrastive loss, https://arxiv.org/abs/2103.00020).
The vectors of the images stay as they are, since the index holds them. They are whitened only for
the training, and the matrix that does it becomes a part of the last layer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from backend.embedders import Block, FloatArray
from backend.embedders.words import Alignment, words_of

NAME: Final = ("display_name",)
LABELS: Final = (
    ("article_type",),
    ("base_colour", "article_type"),
    ("gender", "article_type"),
    ("gender", "base_colour", "article_type"),
)
"""Fields whose values, one after the other, are the text of an image beside its name."""


@dataclass(frozen=True, kw_only=True)
class WordRecipe:
    """What a training does; figures from trials on 36,000 products."""

    epochs: int = 15
    batch: int = 1024
    units: int = 1024
    rate: float = 2e-3  # the largest, in the middle of the training
    fewest: int = 3  # a word must stand in so many names
    most_words: int = 4000
    label_share: float = 0.3  # of the texts
    wordless_share: float = 0.1  # of the texts that are trained by MiniLM alone
    whitening: float = 0.5  # power of the standard deviations that vectors are divided by
    axes: int = 256
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Described:
    """Images and what describes them: vectors (n, size), and for each kind of text n texts."""

    vectors: FloatArray
    texts: Mapping[tuple[str, ...], Sequence[str | None]]
    blocks: Sequence[Block] = ()

    def kinds(self) -> list[tuple[str, ...]]:
        """Return the kinds of text that the images have, the name first."""
        return [kind for kind in (NAME, *LABELS) if any(self.texts.get(kind, ()))]


@dataclass
class _Data:
    """What batches are made from; texts are numbered, and -1 stands for no text."""

    texts: list[str]
    numbers: npt.NDArray[np.intp]  # (kinds, images)
    sentences: FloatArray
    kinds: list[tuple[str, ...]] = field(default_factory=list)


def learn(
    described: Described,
    encode: Callable[[Sequence[str]], FloatArray],
    *,
    recipe: WordRecipe | None = None,
    report: Callable[[int, int], None] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Alignment:
    """Return the alignment of texts with images; `encode` embeds sentences.

    `report` is called with (epochs done, of how many). The same input gives the same result on one
    machine.
    """
    recipe = recipe or WordRecipe()
    data = _data(described, encode)
    words, rarity = _vocabulary(described, recipe)
    mean, axes = _whitening(described.vectors, recipe)
    start = Alignment(
        words=words,
        rarity=rarity,
        hidden=np.empty((0, 0), np.float16),
        hidden_bias=np.empty(0, np.float32),
        output=np.empty((0, 0), np.float16),
        output_bias=np.empty(0, np.float32),
        lengths=_lengths(described),
        provenance=dict(provenance or {}),
    )
    images = torch.from_numpy((described.vectors - mean) @ axes)
    inputs = torch.from_numpy(np.hstack([data.sentences, start.bags(data.texts)]))
    network = _train(images, inputs, data, recipe, report or _keep_silent)
    return _folded(start, network, axes)


def _keep_silent(_done: int, _of: int) -> None:
    """Report nothing."""


def _train(
    images: Tensor,
    inputs: Tensor,
    data: _Data,
    recipe: WordRecipe,
    report: Callable[[int, int], None],
) -> nn.Sequential:
    generator = np.random.default_rng(recipe.seed)
    torch.manual_seed(recipe.seed)
    network = nn.Sequential(
        nn.Linear(inputs.shape[1], recipe.units),
        nn.GELU(approximate="tanh"),
        nn.Linear(recipe.units, images.shape[1]),
    )
    sharpness = nn.Parameter(torch.tensor(3.0))  # logarithm of the factor of the scores
    trained = [*network.parameters(), sharpness]
    optimizer = torch.optim.AdamW(trained, lr=recipe.rate, weight_decay=0.01)
    steps = recipe.epochs * -(-len(images) // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.rate, steps)
    for epoch in range(recipe.epochs):
        order = generator.permutation(len(images))
        for start in range(0, len(order), recipe.batch):
            rows = order[start : start + recipe.batch]
            drawn = _draw(rows, data, recipe, generator)
            texts = network(_inputs(inputs, drawn.texts, recipe, generator, data))
            scores = texts @ images[drawn.rows].T * sharpness.exp()
            optimizer.zero_grad()
            _loss(scores, drawn.same).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
        report(epoch + 1, recipe.epochs)
    return network


@dataclass(frozen=True)
class _Batch:
    rows: npt.NDArray[np.intp]  # images
    texts: npt.NDArray[np.intp]  # the numbers of their texts
    same: Tensor  # (texts, images): whether the text describes the image


def _draw(
    rows: npt.NDArray[np.intp],
    data: _Data,
    recipe: WordRecipe,
    generator: np.random.Generator,
) -> _Batch:
    """Choose a text for each image: its name, or one of its labels."""
    labelled = generator.random(len(rows)) < recipe.label_share
    kinds = np.where(labelled, generator.integers(0, len(data.kinds), len(rows)), 0)
    kinds = np.where(data.numbers[kinds, rows] < 0, 0, kinds)
    texts = data.numbers[kinds, rows]
    rows, kinds, texts = rows[texts >= 0], kinds[texts >= 0], texts[texts >= 0]
    same = data.numbers[kinds][:, rows] == texts[:, None]
    return _Batch(rows, texts, torch.from_numpy(same))


def _inputs(
    inputs: Tensor,
    texts: npt.NDArray[np.intp],
    recipe: WordRecipe,
    generator: np.random.Generator,
    data: _Data,
) -> Tensor:
    """Return the inputs of texts; some lose their words, so that MiniLM alone is of use, too."""
    found = inputs[texts]  # a copy
    wordless = generator.random(len(texts)) < recipe.wordless_share
    found[torch.from_numpy(wordless), data.sentences.shape[1] :] = 0
    return found


def _loss(scores: Tensor, same: Tensor) -> Tensor:
    """Return the cross entropy in both directions; several images may be right for a text."""
    wanted = same.float()
    by_text = functional.cross_entropy(scores, wanted / wanted.sum(1, keepdim=True))
    by_image = functional.cross_entropy(scores.T, (wanted / wanted.sum(0)).T)
    return (by_text + by_image) / 2


def _data(described: Described, encode: Callable[[Sequence[str]], FloatArray]) -> _Data:
    kinds = described.kinds()
    numbered: dict[str, int] = {}
    numbers = np.full((len(kinds), len(described.vectors)), -1)
    for row, kind in zip(numbers, kinds, strict=True):
        for position, text in enumerate(described.texts[kind]):
            if text:
                row[position] = numbered.setdefault(text, len(numbered))
    texts = list(numbered)
    return _Data(texts=texts, numbers=numbers, sentences=encode(texts), kinds=kinds)


def _vocabulary(described: Described, recipe: WordRecipe) -> tuple[tuple[str, ...], FloatArray]:
    """Return the words of enough names, the most frequent first, and how rare each is."""
    names = [text for text in described.texts.get(NAME, ()) if text]
    counts = Counter(word for name in names for word in words_of(name))
    kept = sorted(
        (it for it in counts.items() if it[1] >= recipe.fewest), key=lambda it: (-it[1], it[0])
    )[: recipe.most_words]
    rarity = [np.log(len(names) / count) for _, count in kept]
    return tuple(word for word, _ in kept), np.array(rarity, np.float32)


def _whitening(vectors: FloatArray, recipe: WordRecipe) -> tuple[FloatArray, FloatArray]:
    """Return the mean, and axes (size, fewer) that make whitened vectors about 1 long."""
    mean = vectors.mean(axis=0)
    centred = vectors - mean
    variances, directions = np.linalg.eigh(np.cov(centred.T, dtype=np.float64))
    best = np.argsort(-variances)[: recipe.axes]
    best = best[variances[best] > 1e-9 * variances.max()]
    axes = directions[:, best] / variances[best] ** (recipe.whitening / 2)
    axes /= np.linalg.norm(centred @ axes, axis=1).mean()
    return mean, axes.astype(np.float32)


def _lengths(described: Described) -> dict[str, float]:
    return {
        block.name: float(
            np.linalg.norm(described.vectors[:, block.start : block.stop], axis=1).mean()
        )
        for block in described.blocks
    }


def _folded(start: Alignment, network: nn.Sequential, axes: FloatArray) -> Alignment:
    """Return the trained layers, the last one followed by the axes."""
    weights = [tensor.detach().numpy() for tensor in network.parameters()]
    return Alignment(
        words=start.words,
        rarity=start.rarity,
        hidden=weights[0].astype(np.float16),
        hidden_bias=weights[1],
        output=(axes @ weights[2]).astype(np.float16),
        output_bias=axes @ weights[3],
        lengths=start.lengths,
        provenance=start.provenance,
    )
