"""What the default embedder promises, on real products that it never saw. Takes minutes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from support import real_catalogue

from backend.catalogue.sources import open_source
from backend.catalogue.sources.feed import FeedRow
from backend.embedders import Compute, Embedder, FloatArray, load
from backend.embedders.checkpoint import Checkpoint
from backend.embedders.lookalike_blocks import shipped_statistics
from backend.embedders.tuned import SHIPPED
from backend.images.decoder_pool import Decoded, DecoderPool
from backend.images.limits import ImageLimits
from backend.lab.evaluation.splits import split
from backend.search.ranking import average_precision_at_k
from backend.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

LIMITS = ImageLimits()
DEFAULT = Settings.model_fields["embedder"].default


@pytest.fixture(scope="module")
def card() -> dict:
    """What the default says of its own scores, and how its head's products were split."""
    return dict(shipped_statistics().card) | {"recipe": Checkpoint.load(SHIPPED).card["recipe"]}


@pytest.fixture
def catalogue(shared_data: Path) -> Iterator[list[FeedRow]]:
    """All products with images, in the file's order."""
    with closing(open_source(real_catalogue.whole(shared_data))) as source:
        yield [row for row in source.read() if isinstance(row, FeedRow) and row.image]


def embed(embedder: Embedder, rows: list[FeedRow]) -> Iterator[FloatArray]:
    with DecoderPool(1, limits=LIMITS) as decoders:
        data = (row.image.read(LIMITS.max_bytes) for row in rows if row.image)
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


def of_group(neighbours: np.ndarray, labels: np.ndarray, members: np.ndarray) -> float:
    """Return mAP@5 of the queries of one group, among all judged products."""
    _, codes = np.unique(labels, return_inverse=True)
    asked = codes[members]
    relevant = codes[neighbours[members]] == asked[:, None]
    return float(np.nanmean(average_precision_at_k(relevant, np.bincount(codes)[asked] - 1)))


def test_unseen_products_find_their_type_colour_and_gender(
    catalogue: list[FeedRow], card: dict
) -> None:
    types = [str(row.fields["article_type"]) for row in catalogue]
    recipe = card["recipe"]
    parts = split(
        [row.sku for row in catalogue],
        types,
        held_out=recipe["held_out"],
        unseen=recipe["unseen"],
        seed=recipe["seed"],
    )
    judged = np.flatnonzero(parts.held_out | parts.unseen)
    products = [catalogue[position] for position in judged]
    vectors = np.concatenate(list(embed(load(DEFAULT), products)))
    assert len(vectors) == len(products) > 4000
    neighbours = five_nearest(vectors)

    labels = {
        "article_type": np.array(types)[judged],
        "base_colour+article_type": joint(products, "base_colour"),
        "gender+article_type": joint(products, "gender"),
    }
    groups = {"seen": parts.held_out[judged], "unseen": parts.unseen[judged]}
    measured = {
        group: {by: of_group(neighbours, codes, members) for by, codes in labels.items()}
        for group, members in groups.items()
    }

    print(measured)
    for group, scores in card["scores"].items():  # the model card tells the truth
        for by, score in scores.items():
            assert measured[group][by] == pytest.approx(score, abs=0.01), (group, by)
    assert measured["seen"]["article_type"] >= 0.78
    assert measured["seen"]["base_colour+article_type"] >= 0.41
    assert measured["seen"]["gender+article_type"] >= 0.65
    assert measured["unseen"]["article_type"] >= 0.73


def joint(products: list[FeedRow], other: str) -> np.ndarray:
    return np.array([f"{row.fields[other]} {row.fields['article_type']}" for row in products])


def test_bf16_gives_the_vectors_of_fp32(catalogue: list[FeedRow]) -> None:
    sample = catalogue[:1000]
    fast, exact = (
        np.concatenate(list(embed(load(DEFAULT, compute=compute), sample)))
        for compute in (Compute(precision="bf16"), Compute(precision="fp32"))
    )

    cosines = (fast * exact).sum(axis=1)
    print(f"cosine of bf16 and fp32: mean {cosines.mean():.5f}, least {cosines.min():.5f}")
    assert np.quantile(cosines, 0.01) >= 0.999
    assert cosines.min() >= 0.998  # one in 1,500 is below 0.999
