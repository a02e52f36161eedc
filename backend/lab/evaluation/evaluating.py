"""Ask for a catalogue's own pictures, and judge their neighbours by its labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TypeAlias

import numpy as np

from backend.database.engine import Database
from backend.embedders import Embedder
from backend.images.decoder_pool import Decoded
from backend.lab.evaluation.judging import Ranking, judge
from backend.lab.evaluation.neighbours import intra_list_diversity, nearest
from backend.lab.evaluation.planning import EvaluationPlan, Options, lay_out
from backend.lab.evaluation.products import Labels, read_products
from backend.lab.evaluation.results import Contender, Evaluation, Share
from backend.lab.evaluation.speed import images_per_second
from backend.lab.evaluation.splits import Mask, Positions
from backend.lab.evaluation.vectors import OpenPictures, Report, embed_missing, load_vectors

Watch: TypeAlias = Callable[[str], AbstractContextManager[Report]]
"""Shows the progress of something that takes long."""


@dataclass(frozen=True, kw_only=True)
class Contest:
    """What takes part, and what it works with."""

    db: Database
    embedders: Mapping[str, Embedder]  # by spec; the others are compared with the first
    yardstick: Embedder  # whose speed counts as 1
    open_images: OpenPictures
    watch: Watch


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the figures were made of, for whoever wants to show it."""

    plan: EvaluationPlan
    queries: Positions  # in the index
    groups: Mapping[str, Mask]  # over the queries
    rankings: Sequence[Ranking]


def evaluate(contest: Contest, options: Options) -> tuple[Evaluation, Evidence]:
    """Judge embedders over the same index and the same queries.

    Reads SQL alone, and writes nothing there but vectors that had to be made: it needs no index,
    and runs beside a server. Raises NotEvaluable, and what embedders raise.
    """
    with contest.db.read() as session:
        planned = lay_out(read_products(session), options)
    plan, digests = _usable(contest, planned)
    queries = plan.queries(options)
    groups = {name: mask[queries] for name, mask in plan.groups.items()}
    rankings = [_rank(contest, spec, digests[spec], queries, options) for spec in contest.embedders]
    scores = [
        score
        for labels in plan.labels.values()
        for score in judge(
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
        contenders=_contenders(contest, plan, options),
        scores=scores,
    )
    return evaluation, Evidence(plan=plan, queries=queries, groups=groups, rankings=rankings)


def _usable(contest: Contest, plan: EvaluationPlan) -> tuple[EvaluationPlan, dict[str, list[str]]]:
    """Make the missing vectors; leave out, for all embedders, what one of them cannot take."""
    digests = {}
    for spec, embedder in contest.embedders.items():
        with contest.watch(f"Embedding: {spec}") as report:
            digests[spec] = embed_missing(
                contest.db,
                embedder,
                plan.products,
                open_images=contest.open_images,
                report=report,
            )
    kept = np.array([all(one) for one in zip(*digests.values(), strict=True)], bool)
    return plan.only(kept), {
        spec: [digest for digest, keep in zip(found, kept, strict=True) if keep and digest]
        for spec, found in digests.items()
    }


def _rank(
    contest: Contest, spec: str, digests: Sequence[str], queries: Positions, options: Options
) -> Ranking:
    vectors = load_vectors(contest.db, contest.embedders[spec].fingerprint, digests)
    neighbours = nearest(vectors, queries, k=options.k, metric=options.metric)
    diversity = intra_list_diversity(vectors, neighbours.positions)
    return Ranking(embedder=spec, neighbours=neighbours, diversity=diversity)


def _shares(labels: Labels, queries: Positions) -> list[Share]:
    index, asked = labels.counts(), labels.take(queries).counts()
    return [
        Share(category=labels.names[code], index=int(index[code]), queries=int(asked[code]))
        for code in np.argsort(-index, kind="stable")
        if index[code]
    ]


def _contenders(contest: Contest, plan: EvaluationPlan, options: Options) -> list[Contender]:
    rates = _rates(contest, plan, options.timed)
    usual = rates.get(contest.yardstick.name)
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
        for spec, embedder in contest.embedders.items()
    ]


def _rates(contest: Contest, plan: EvaluationPlan, timed: int) -> dict[str, float]:
    """Return images a second by embedders' names; nothing if no picture is to be had or wanted."""
    uris = [product.uri for product in plan.products[:timed]]
    all_ = {one.name: one for one in (contest.yardstick, *contest.embedders.values())}
    opened = {
        name: [
            one.image
            for one in contest.open_images(uris, embedder.input_size)
            if isinstance(one, Decoded)
        ]
        for name, embedder in all_.items()
    }
    return images_per_second(all_, opened) if all(opened.values()) else {}
