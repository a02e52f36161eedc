"""What the default embedder promises, on 10,000 real products. Takes minutes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from backend.catalogue.sources import open_source
from backend.catalogue.sources.rows import Row
from backend.decoding import Decoded, DecoderPool
from backend.embedders import Compute, Embedder, FloatArray, load
from backend.evaluation.ranking import mean_average_precision
from backend.images import Limits

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

QUERIES = 10_000
LIMITS = Limits()


@pytest.fixture
def products(shared_data: Path) -> list[Row]:
    """The queries: a seeded draw from the products with images, in the file's order."""
    rows = open_source(shared_data / "fashion-products-small.zip").read()
    pictured = [row for row in rows if isinstance(row, Row) and row.picture]
    order = np.random.RandomState(0).permutation(len(pictured))
    return [pictured[position] for position in order[:QUERIES]]


def embed(embedder: Embedder, rows: list[Row]) -> Iterator[FloatArray]:
    with DecoderPool(1, limits=LIMITS) as decoders:
        data = (row.picture.read(LIMITS.max_bytes) for row in rows if row.picture)
        decoded = decoders.decode_all(data, target=embedder.input_size, window=128)
        images = (one.image for one in decoded if isinstance(one, Decoded))
        while batch := list(islice(images, 64)):
            yield embedder.embed(batch)


def five_nearest(vectors: FloatArray) -> np.ndarray:
    found = []
    for start in range(0, len(vectors), 1000):
        scores = vectors[start : start + 1000] @ vectors.T
        scores[np.arange(len(scores)), np.arange(start, start + len(scores))] = -np.inf
        best = np.argpartition(-scores, 5, axis=1)[:, :5]
        order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1)
        found.append(np.take_along_axis(best, order, axis=1))
    return np.concatenate(found)


def test_similar_products_are_of_the_same_type_and_colour(products: list[Row]) -> None:
    vectors = np.concatenate(list(embed(load("efficientnet-lite0"), products)))
    types = np.array([str(row.fields["article_type"]) for row in products])
    colours = np.array([str(row.fields["base_colour"]) for row in products])
    neighbours = five_nearest(vectors)

    by_type = mean_average_precision(neighbours, types)
    by_both = mean_average_precision(neighbours, np.char.add(colours, types))

    print(f"mAP@5: article type {by_type:.4f}, base colour + article type {by_both:.4f}")
    assert len(vectors) == QUERIES
    assert by_type >= 0.675
    assert by_both >= 0.24


def test_bf16_gives_the_vectors_of_fp32(products: list[Row]) -> None:
    sample = products[:1000]
    fast, exact = (
        np.concatenate(list(embed(load("efficientnet-lite0", compute=compute), sample)))
        for compute in (Compute(precision="bf16"), Compute(precision="fp32"))
    )

    cosines = (fast * exact).sum(axis=1)
    print(f"cosine of bf16 and fp32: mean {cosines.mean():.5f}, least {cosines.min():.5f}")
    assert cosines.min() >= 0.999
