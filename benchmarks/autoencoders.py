"""mAP@5 of autoencoders' codes, by Euclidean distance and by cosine.

    python benchmarks/autoencoders.py WEIGHTS… [--sample 10000] [--held-out 0.2]

The vectors of an embedder have length 1, so both metrics give the same order; the article that
these networks are from compares raw codes. The catalogue is that of LOOKALIKE_DATA_DIR; index and
queries are the held-out products of the sample, as with `lookalike evaluate --index held-out`. Raw
pixels of the same size are evaluated too. Nothing is stored.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from backend.bootstrap import Services, build
from backend.embedders import FloatArray, load
from backend.embedders.autoencoder import INPUT_SIZE, AutoencoderEmbedder
from backend.embedders.pixels import to_pixels
from backend.images.decoder_pool import Decoded
from backend.lab.evaluation.labels import read_products
from backend.lab.evaluation.neighbours import Metric, nearest
from backend.lab.evaluation.planning import EvaluationOptions, EvaluationPlan, make_plan
from backend.lab.evaluation.scoring import hits
from backend.search.ranking import average_precision_at_k
from backend.settings import read_settings

BATCH = 64
LABELS = ("article_type", "sub_category", "base_colour+article_type", "gender+article_type")
METRICS: tuple[Metric, ...] = ("cosine", "euclidean")

Encode = Callable[[Sequence[Image.Image]], FloatArray]


def pixels(images: Sequence[Image.Image]) -> FloatArray:
    """Return the pixels themselves, from 0 to 1."""
    return to_pixels(images, INPUT_SIZE).reshape(len(images), -1).astype(np.float32) / 255


def encode_all(
    services: Services, plan: EvaluationPlan, encoders: Sequence[Encode]
) -> list[FloatArray]:
    """Encode the images, (images, size) for each encoder; grey stands for one that fails."""
    opened = services.image_opener.open([product.uri for product in plan.products], INPUT_SIZE)
    grey = Image.new("RGB", INPUT_SIZE, "grey")
    images = (one.image if isinstance(one, Decoded) else grey for one in opened)
    parts: list[list[FloatArray]] = []
    while batch := list(islice(images, BATCH)):
        parts.append([encode(batch) for encode in encoders])
    return [np.concatenate(chunks) for chunks in zip(*parts, strict=True)]


def mean_precision(codes: FloatArray, plan: EvaluationPlan, by: str, metric: Metric) -> float:
    """Return mAP@5 over all of the plan's products."""
    labels, positions = plan.labels[by], np.arange(len(plan.products))
    found = nearest(codes, positions, k=5, metric=metric)
    others = np.where(labels.codes >= 0, labels.counts()[labels.codes] - 1, 0)
    relevant = hits(labels, labels.codes, found.positions)
    return float(np.nanmean(average_precision_at_k(relevant, others)))


def main() -> None:
    """Print a line for each set of weights and metric."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", nargs="+", type=Path)
    parser.add_argument("--sample", type=int)
    parser.add_argument("--held-out", type=float, default=0.2)
    given = parser.parse_args()
    options = EvaluationOptions(
        by=LABELS, sample=given.sample, held_out=given.held_out, index="held-out"
    )
    loaded = [load(f"autoencoder?weights={path}") for path in given.weights]
    encoders = {e.name: e.encode for e in loaded if isinstance(e, AutoencoderEmbedder)}
    encoders["pixels"] = pixels
    services = build(read_settings())
    try:
        with services.db.read() as session:
            plan = make_plan(read_products(session), options)
        codes = encode_all(services, plan, list(encoders.values()))
    finally:
        services.close()
    print(f"{len(plan.products):,} products; mAP@5 by {', '.join(LABELS)}")
    for name, matrix in zip(encoders, codes, strict=True):
        for metric in METRICS:
            figures = (mean_precision(matrix, plan, by, metric) for by in LABELS)
            print(f"{metric:9} {' '.join(f'{one:.3f}' for one in figures)}  {name}", flush=True)


if __name__ == "__main__":
    main()
