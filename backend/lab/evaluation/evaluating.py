"""Evaluate embedders: search for a catalogue's own images, score neighbours by its labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import numpy as np

from backend.database.engine import Database
from backend.embedders import Embedder
from backend.images.decoder_pool import Decoded
from backend.lab.evaluation.calibrating import calibrate
from backend.lab.evaluation.labels import Labels, read_products
from backend.lab.evaluation.neighbours import intra_list_diversity, nearest
from backend.lab.evaluation.planning import EvaluationOptions, EvaluationPlan, make_plan
from backend.lab.evaluation.results import Calibration, Contender, Evaluation, Share
from backend.lab.evaluation.scoring import Ranking, score_rankings
from backend.lab.evaluation.speed import images_per_second
from backend.lab.evaluation.stored_vectors import embed_missing, load_vectors
from backend.lab.types import Mask, OpenImages, Positions, Watch


@dataclass(frozen=True, kw_only=True)
class EvaluationContext:
    """The embedders to evaluate, and what an evaluation works with."""

    db: Database
    embedders: Mapping[str, Embedder]  # by spec; the first is the one to compare with
    reference: Embedder  # its speed counts as 1
    open_images: OpenImages
    watch: Watch


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The neighbours behind the figures, to show examples of them."""

    plan: EvaluationPlan
    queries: Positions  # in the index
    groups: Mapping[str, Mask]  # over the queries
    rankings: Sequence[Ranking]


def evaluate(context: EvaluationContext, options: EvaluationOptions) -> tuple[Evaluation, Evidence]:
    """Evaluate embedders with the same index and the same queries.

    It reads SQL alone and writes only missing vectors, so it can run beside a server. Raises
    NotEvaluable, and what embedders raise.
    """
    with context.db.read() as session:
        planned = make_plan(read_products(session), options)
    plan, digests = _usable(context, planned)
    queries = plan.queries(options)
    groups = {name: mask[queries] for name, mask in plan.groups.items()}
    rankings = [_rank(context, spec, digests[spec], queries, options) for spec in context.embedders]
    scores = [
        score
        for labels in plan.labels.values()
        for score in score_rankings(
            rankings, labels, queries, groups, seed=options.seed, resamples=options.resamples
        )
    ]
    evaluation = Evaluation(
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        options=asdict(options),
        index=len(plan.products),
        queries={name: int(mask.sum()) for name, mask in groups.items()},
        unusable=len(planned.products) - len(plan.products),
        unseen=plan.unseen,
        distribution={by: _shares(labels, queries) for by, labels in plan.labels.items()},
        contenders=_contenders(context, plan, options),
        scores=scores,
        calibrations=_calibrations(context, plan, digests, queries, options),
    )
    return evaluation, Evidence(plan=plan, queries=queries, groups=groups, rankings=rankings)


def _usable(
    context: EvaluationContext, plan: EvaluationPlan
) -> tuple[EvaluationPlan, dict[str, list[str]]]:
    """Embed what is missing; leave out products whose image one of the embedders cannot use."""
    digests = {}
    for spec, embedder in context.embedders.items():
        with context.watch(f"Embedding: {spec}") as report:
            digests[spec] = embed_missing(
                context.db,
                embedder,
                plan.products,
                open_images=context.open_images,
                report=report,
            )
    kept = np.array([all(one) for one in zip(*digests.values(), strict=True)], bool)
    return plan.only(kept), {
        spec: [digest for digest, keep in zip(found, kept, strict=True) if keep and digest]
        for spec, found in digests.items()
    }


def _rank(
    context: EvaluationContext,
    spec: str,
    digests: Sequence[str],
    queries: Positions,
    options: EvaluationOptions,
) -> Ranking:
    vectors = load_vectors(context.db, context.embedders[spec].fingerprint, digests)
    neighbours = nearest(vectors, queries, k=options.k, metric=options.metric)
    diversity = intra_list_diversity(vectors, neighbours.positions)
    return Ranking(embedder=spec, neighbours=neighbours, diversity=diversity)


def _calibrations(
    context: EvaluationContext,
    plan: EvaluationPlan,
    digests: Mapping[str, Sequence[str]],
    queries: Positions,
    options: EvaluationOptions,
) -> list[Calibration]:
    """Calibrate each embedder by the first label; a distance has no curve."""
    if options.metric != "cosine":
        return []
    labels = plan.labels[options.by[0]]
    found = []
    for spec, embedder in context.embedders.items():
        vectors = load_vectors(context.db, embedder.fingerprint, digests[spec])
        found.append(calibrate(spec, vectors, labels, queries, seed=options.seed))
    return [it for it in found if it is not None]


def _shares(labels: Labels, queries: Positions) -> list[Share]:
    index, asked = labels.counts(), labels.take(queries).counts()
    return [
        Share(category=labels.names[code], index=int(index[code]), queries=int(asked[code]))
        for code in np.argsort(-index, kind="stable")
        if index[code]
    ]


def _contenders(
    context: EvaluationContext, plan: EvaluationPlan, options: EvaluationOptions
) -> list[Contender]:
    rates = _rates(context, plan, options.timed)
    usual = rates.get(context.reference.name)
    return [
        Contender(
            spec=spec,
            name=embedder.name,
            fingerprint=embedder.fingerprint,
            size=embedder.size,
            index_mb=len(plan.products) * embedder.size * 4 / 1e6,
            images_per_second=(rate := rates.get(embedder.name)),
            speed=rate / usual if rate and usual else None,
        )
        for spec, embedder in context.embedders.items()
    ]


def _rates(context: EvaluationContext, plan: EvaluationPlan, timed: int) -> dict[str, float]:
    """Return images a second by embedder's name; empty if `timed` is 0 or no image opens."""
    uris = [product.uri for product in plan.products[:timed]]
    all_ = {one.name: one for one in (context.reference, *context.embedders.values())}
    opened = {
        name: [
            one.image
            for one in context.open_images(uris, embedder.input_size)
            if isinstance(one, Decoded)
        ]
        for name, embedder in all_.items()
    }
    return images_per_second(all_, opened) if all(opened.values()) else {}
