"""Scores from neighbours: for each label, group of queries, embedder and category."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from backend.lab.evaluation.intervals import Estimate, estimates
from backend.lab.evaluation.labels import Labels
from backend.lab.evaluation.neighbours import Neighbours
from backend.lab.evaluation.results import CategoryScore, Confusion, Score
from backend.lab.types import Floats, Mask, Positions
from backend.search import ranking

METRICS: Final = ("map", "precision", "recall", "ndcg", "diversity")
SHOWN: Final = 20
"""Categories of a confusion matrix: more would be unreadable."""


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """The neighbours that one embedder finds for all queries."""

    embedder: str  # its spec
    neighbours: Neighbours
    diversity: Floats  # (queries,)


def score_rankings(
    rankings: Sequence[Ranking],
    labels: Labels,
    queries: Positions,
    groups: Mapping[str, Mask],
    *,
    seed: int,
    resamples: int,
) -> Iterator[Score]:
    """Yield a score for each group of queries and each ranking.

    `labels` are those of the index, `queries` positions in it, `groups` masks over the queries.
    """
    values = [per_query(ranking, labels, queries) for ranking in rankings]
    asked = labels.codes[queries]
    for group, members in groups.items():
        known = members & ~np.isnan(values[0][:, 0])
        scored = [one[known] for one in values]
        overall = _compare(scored, seed=seed, resamples=resamples)
        by_category = _by_category(scored, labels, asked[known], seed=seed, resamples=resamples)
        for position, ranked in enumerate(rankings):
            found = ranked.neighbours.positions[members]
            categories = [one[position] for one in by_category]
            yield Score(
                embedder=ranked.embedder,
                by=labels.by,
                group=group,
                queries=int(known.sum()),
                skipped=int((members & ~known).sum()),
                metrics=dict(zip(METRICS, overall[0][position], strict=True)),
                lead=dict(zip(METRICS, overall[1][position], strict=True)),
                macro=_macro(categories),
                coverage=coverage(found, len(labels.codes)),
                categories=categories,
                confusion=confusion(labels, asked[members], found),
            )


def per_query(ranked: Ranking, labels: Labels, queries: Positions) -> Floats:
    """Return METRICS of each query, (queries, metrics); NaN without anything relevant."""
    found = ranked.neighbours.positions
    asked = labels.codes[queries]
    relevant = hits(labels, asked, found)
    others = np.where(asked >= 0, labels.counts()[asked] - 1, 0)
    precision = np.where(others > 0, ranking.precision_at_k(relevant), np.nan)
    return np.column_stack(
        [
            ranking.average_precision_at_k(relevant, others),
            precision,
            ranking.recall_at_k(relevant, others),
            ranking.ndcg_at_k(relevant, others),
            ranked.diversity,
        ]
    )


def hits(labels: Labels, asked: Positions, found: Positions) -> ranking.Hits:
    """Return of each neighbour (queries, k) whether it has its query's category."""
    same: ranking.Hits = labels.codes[found] == asked[:, None]
    return same & (found >= 0) & (asked >= 0)[:, None]


def coverage(found: Positions, index: int) -> float:
    """Return the share of an `index` of so many products that is a neighbour of some query.

    `found` (queries, k) has positions in the index; -1 is none.
    """
    return len(np.unique(found[found >= 0])) / index


def confusion(labels: Labels, asked: Positions, found: Positions) -> Confusion:
    """Return the share of neighbours in each category, for the categories with most queries.

    `asked` (queries,) are the codes of the queries, `found` (queries, k) positions of neighbours.
    Similar categories are next to each other.
    """
    sizes = np.bincount(asked[asked >= 0], minlength=len(labels.names))
    largest = [code for code in np.argsort(-sizes, kind="stable")[:SHOWN] if sizes[code]]
    column = np.full(len(labels.names) + 1, len(largest))  # others; -1 is the last of these
    column[largest] = np.arange(len(largest))
    rows = np.broadcast_to(column[asked][:, None], found.shape)
    there = (found >= 0) & (rows < len(largest))
    counts = np.zeros((len(largest), len(largest) + 1))
    np.add.at(counts, (rows[there], column[labels.codes[found]][there]), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    order = order_by_similarity(shares[:, :-1])
    return Confusion(
        categories=[labels.names[largest[row]] for row in order],
        shares=shares[order][:, [*order, len(largest)]].tolist(),
    )


def order_by_similarity(shares: Floats) -> list[int]:
    """Order categories so that confused ones are next to each other, the largest early.

    This is the order of the Fiedler vector of their similarity (Atkins, Boman, Hendrickson 1998).
    """
    if len(shares) < 3:
        return list(range(len(shares)))
    similarity = shares + shares.T + 1e-6  # above 0, so that the graph is connected
    laplacian = np.diag(similarity.sum(axis=1)) - similarity
    order: list[int] = np.argsort(np.linalg.eigh(laplacian)[1][:, 1], kind="stable").tolist()
    return order if order.index(0) < len(order) / 2 else order[::-1]


def _compare(
    scored: Sequence[Floats], *, seed: int, resamples: int
) -> tuple[list[list[Estimate]], list[list[Estimate]]]:
    """Estimate the metrics of each embedder and its lead over the first, by the same resamples."""
    width = len(METRICS)
    columns = np.hstack([*scored, *(one - scored[0] for one in scored)])
    if len(columns):
        found = estimates(columns, seed=seed, resamples=resamples)
    else:
        found = [Estimate(*[float("nan")] * 3)] * columns.shape[1]
    parts = [found[start : start + width] for start in range(0, len(found), width)]
    return parts[: len(scored)], parts[len(scored) :]


def _by_category(
    scored: Sequence[Floats],
    labels: Labels,
    asked: Positions,
    *,
    seed: int,
    resamples: int,
) -> list[list[CategoryScore]]:
    """Score each category that has queries, the largest first; for each one, each embedder."""
    codes, sizes = np.unique(asked, return_counts=True)
    scores = []
    for code in codes[np.argsort(-sizes, kind="stable")]:
        members = [one[asked == code] for one in scored]
        found, _ = _compare(members, seed=seed, resamples=resamples)
        scores.append(
            [
                CategoryScore(
                    category=labels.names[code],
                    queries=len(members[0]),
                    metrics=dict(zip(METRICS, metrics, strict=True)),
                )
                for metrics in found
            ]
        )
    return scores


def _macro(categories: Sequence[CategoryScore]) -> dict[str, float]:
    if not categories:
        return dict.fromkeys(METRICS, float("nan"))
    return {
        name: float(np.mean([category.metrics[name].value for category in categories]))
        for name in METRICS
    }
