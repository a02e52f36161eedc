"""How often does the nearest training image of FashionMNIST have the right class?

    lookalike fashion-mnist          # imports and embeds them, in ./fashion-mnist
    python benchmarks/fashion_mnist.py [--train 60000] [--embedder SPEC]…

The 10,000 test images are the queries, the 60,000 training images are the index; the search is
exact, by cosine, on stored vectors. Missing vectors of a baseline are computed first (raw pixels:
half a minute). Prints accuracy at 1, and by a vote of 5, with its standard error.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from backend import generations
from backend.bootstrap import Services, build
from backend.lab.evaluation.labels import CatalogueProduct, read_products
from backend.lab.evaluation.stored_vectors import embed_missing, load_vectors
from backend.settings import read_settings

RAW_PIXELS = "raw-pixels?height=28&width=28&grey=yes"
PART = 1_000  # queries at a time: 1,000 x 60,000 similarities are 240 MB
VOTES = 5


def first(count: int, products: Sequence[CatalogueProduct]) -> list[CatalogueProduct]:
    """Return the first training images, and all test images."""
    train = [product for product in products if product.value("split") == "train"]
    return train[:count] + [product for product in products if product.value("split") == "test"]


def vectors_of(found: Services, spec: str, products: Sequence[CatalogueProduct]) -> np.ndarray:
    """Return the products' vectors, stored ones as they are."""
    embedder = found.embedders.named(spec)
    digests = embed_missing(
        found.db,
        embedder,
        products,
        open_images=found.image_opener.open,
        report=lambda *_: None,
    )
    return load_vectors(found.db, embedder.fingerprint, [digest or "" for digest in digests])


def neighbours(queries: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return the positions of the nearest vectors of the index, best first, (queries, VOTES)."""
    found = []
    for start in range(0, len(queries), PART):
        similarity = queries[start : start + PART] @ index.T
        best = np.argpartition(-similarity, VOTES, axis=1)[:, :VOTES]
        order = np.argsort(-np.take_along_axis(similarity, best, axis=1), axis=1)
        found.append(np.take_along_axis(best, order, axis=1))
    return np.concatenate(found)


def vote(classes: np.ndarray) -> np.ndarray:
    """Return the most frequent class of each row; of equals, that of the nearest neighbour."""
    counts = (classes[:, :, None] == classes[:, None, :]).sum(axis=2)
    return classes[np.arange(len(classes)), counts.argmax(axis=1)]


def evaluate(found: Services, spec: str, products: Sequence[CatalogueProduct]) -> str:
    vectors = vectors_of(found, spec, products)
    kinds = np.array([product.value("article_type") for product in products])
    split = np.array([product.value("split") for product in products])
    train, test = split == "train", split == "test"
    near = kinds[train][neighbours(vectors[test], vectors[train])]
    shares = [(answer == kinds[test]).mean() for answer in (near[:, 0], vote(near))]
    errors = [(share * (1 - share) / test.sum()) ** 0.5 for share in shares]
    figures = " | ".join(
        f"{100 * s:.2f}% ± {100 * e:.2f}" for s, e in zip(shares, errors, strict=True)
    )
    return f"| {spec} | {vectors.shape[1]} | {figures} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path("fashion-mnist"))
    parser.add_argument("--train", type=int, default=60_000, help="so many of them, the first")
    parser.add_argument("--embedder", action="append", metavar="SPEC")
    options = parser.parse_args()
    found = build(read_settings(data_dir=options.data_dir))
    with found.db.read() as session:
        products = first(options.train, read_products(session))
        indexed = generations.active(session).embedder
    print("| embedder | dimensions | 1 neighbour | vote of 5 |\n|---|---|---|---|")
    for spec in options.embedder or [indexed, RAW_PIXELS]:
        print(evaluate(found, spec, products), flush=True)
    found.close()


if __name__ == "__main__":
    main()
