"""How well texts find products in an installation, learnt in closed form and as it ships.

    LOOKALIKE_DATA_DIR=… python benchmarks/words.py [--queries 4000] [--sentences FILE.npz]

The catalogue is indexed; stored vectors are read, no image. Two kinds of queries:

- names: one of ten names, by its digest, is left out with all its products. Each such product's
  name is asked among all products: is the product itself within ten, or one of the same name?
- labels: a tenth of the products, by their skus, is left out. Each value of a label that ten of
  these have is asked among them: the share of ten that have it.

Rows: what ships (which has learnt from no other shop than the one of its card), sentences alone,
with classes as the shipped file is learnt and without, and the shop's words beside sentences, as
`lookalike adapt` learns. Values of labels are asked among all products, too.
Intervals are 95%, by the bootstrap over queries. `--sentences` keeps what MiniLM says of all texts.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from backend.adaptation.learning_words import leave_out, ranks
from backend.adaptation.name_alignment import MOST_WORDS, Named, align
from backend.bootstrap import build
from backend.embedders import FloatArray, minilm
from backend.embedders.words import Alignment, shipped_file
from backend.lab.evaluation.intervals import estimates
from backend.lab.evaluation.splits import fraction_of
from backend.lab.training.other_words import ALL_OTHER_WORDS
from backend.lab.training.word_classes import with_classes
from backend.lab.training.word_run import name_products, read_described
from backend.lab.types import Floats, Mask, Positions
from backend.settings import read_settings

FIRST = 10
AT_ONCE = 250
LABELS = ("article_type", "base_colour+article_type", "gender+article_type")

Project = Callable[[Sequence[str]], FloatArray]


def kept_sentences(named: Named, file: Path | None) -> dict[str, FloatArray]:
    """Embed all texts but those that an earlier run kept."""
    found: dict[str, FloatArray] = {}
    if file is not None and file.is_file():
        with np.load(file) as kept:
            found = dict(zip(kept["texts"].tolist(), kept["vectors"], strict=True))
    texts = {text for kind in (named.names, *named.labels) for text in kind if text}
    texts.update(ALL_OTHER_WORDS)
    missing = sorted(texts - found.keys())
    found |= zip(missing, minilm.shipped().encode(missing), strict=True) if missing else ()
    if file is not None and missing:
        np.savez(file, texts=np.array(list(found)), vectors=np.stack(list(found.values())))
    return found


def asked_by_name(project: Project, named: Named, queries: Positions) -> Floats:
    """Return (queries, 2): is the product itself, or one of its name, within ten?"""
    codes = np.unique([name or "" for name in named.names], return_inverse=True)[1]
    found = []
    for start in range(0, len(queries), AT_ONCE):
        part = queries[start : start + AT_ONCE]
        scores = project([str(named.names[row]) for row in part]) @ named.vectors.T
        best = np.argpartition(-scores, FIRST, axis=1)[:, :FIRST]
        alike = (codes[best] == codes[part][:, None]).any(axis=1)
        found.append(np.stack([ranks(scores, part) < FIRST, alike], axis=1))
    return np.concatenate(found).astype(np.float64)


def asked_by_label(project: Project, named: Named, kind: int, rows: Positions) -> Floats:
    """Return (values, 1): the share of ten of `rows` that have the value asked for."""
    labels = np.array([named.labels[kind][row] or "" for row in rows])
    values, counts = np.unique(labels, return_counts=True)
    asked = [str(it) for it in values[(counts >= FIRST) & (values != "")]]
    if not asked:
        return np.empty((0, 1))
    scores = project(asked) @ named.vectors[rows].T
    best = np.argsort(-scores, axis=1)[:, :FIRST]
    shares: Floats = (labels[best] == np.array(asked)[:, None]).mean(axis=1, keepdims=True)
    return shares


def tell(what: str, values: Floats) -> None:
    if not len(values):
        print(f"  {what}: none")
        return
    told = "  ".join(f"{it.value:.3f} [{it.low:.3f}, {it.high:.3f}]" for it in estimates(values))
    print(f"  {what}: {told}  ({len(values)} queries)", flush=True)


def projector(alignment: Alignment, sentences: Mapping[str, FloatArray]) -> Project:
    return lambda texts: alignment.project(np.stack([sentences[it] for it in texts]), texts)


def measure(
    title: str, by_name: Project, by_label: Project, named: Named, left: Mask, held: Mask, most: int
) -> None:
    print(title)
    queries = np.flatnonzero(left)[:most]
    tell("names: the product itself, one of its name", asked_by_name(by_name, named, queries))
    for kind, label in enumerate(LABELS):
        tell(f"{label} P@10", asked_by_label(by_label, named, kind, np.flatnonzero(held)))
        everything = np.arange(len(named.vectors))
        tell("  among all products", asked_by_label(by_label, named, kind, everything))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=4_000)
    parser.add_argument("--sentences", type=Path)
    options = parser.parse_args()
    services = build(read_settings())
    generation, products, vectors = read_described(services.db)
    named = name_products(generation, products, vectors)
    sentences = kept_sentences(named, options.sentences)
    left = leave_out(named.names, 10) & np.array([bool(name) for name in named.names])
    held = np.array([fraction_of(product.sku) < 0.1 for product in products])
    print(f"{len(products)} products, {len(set(named.names))} names, {generation.embedder}")
    file = shipped_file(generation.fingerprint)
    if file.is_file():
        ships = projector(Alignment.from_bytes(file.read_bytes()), sentences)
        measure("as it ships", ships, ships, named, left, held, options.queries)
    for title, words in (("sentences alone", 0), ("words beside sentences", MOST_WORDS)):
        rows = [np.flatnonzero(~out) for out in (left, held)]
        learnt = [align(named, sentences, it, most_words=words) for it in rows]
        both = [projector(it, sentences) for it in learnt]
        measure(title, both[0], both[1], named, left, held, options.queries)
        if not words:
            pairs = zip(learnt, rows, strict=True)
            both = [
                projector(with_classes(it, named, sentences, of), sentences) for it, of in pairs
            ]
            measure(
                "with classes, as what ships", both[0], both[1], named, left, held, options.queries
            )
    services.close()


if __name__ == "__main__":
    main()
