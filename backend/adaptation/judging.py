"""Judge vectors by the catalogue's own labels: of products that the map was not fitted on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from backend.adaptation.fitting import Codes, in_several
from backend.embedders import FloatArray
from backend.search.ranking import average_precision_at_k, recall_at_k

VARIANTS: Final = "variants"
"""The figure of groups: recall@10 of a product's variants; the others are mAP@5."""

COLOURS: Final = "base_colour+article_type"
"""The label that tells what becomes of colours."""

LABELS_AT, VARIANTS_AT = 5, 10
QUERIES_AT_ONCE: Final = 500

Figures = Mapping[str, float]
"""Label -> figure from 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class Judge:
    """The index that vectors are judged on, and its queries."""

    labels: Mapping[str, Codes]  # label -> (products,): numbers of categories; -1: without one
    groups: Codes  # (products,): numbers of groups; -1: without one
    queries: Codes  # (queries,): positions
    heartbeat: Callable[[], None] = lambda: None

    def figures(self, vectors: FloatArray) -> Figures:
        """Return mAP@5 of each label and the recall@10 of variants, where there are any.

        `vectors` (products, size) have length 1. A figure without a query is left out.
        """
        nearest = np.concatenate([self._nearest(vectors, part) for part in self._parts()])
        found = {}
        for name, codes in self.labels.items():
            hits, counts = self._hits(codes, nearest[:, :LABELS_AT])
            found[name] = _mean(average_precision_at_k(hits, counts))
        if in_several(self.groups).any():
            found[VARIANTS] = _mean(recall_at_k(*self._hits(self.groups, nearest)))
        return {name: value for name, value in found.items() if not np.isnan(value)}

    def _parts(self) -> list[Codes]:
        starts = range(0, len(self.queries), QUERIES_AT_ONCE)
        return [self.queries[start : start + QUERIES_AT_ONCE] for start in starts]

    def _nearest(self, vectors: FloatArray, queries: Codes) -> Codes:
        """Return the positions of the ten nearest products, best first, the query left out."""
        self.heartbeat()
        similarities = vectors[queries] @ vectors.T
        similarities[np.arange(len(queries)), queries] = -np.inf
        most = min(VARIANTS_AT, len(vectors) - 1)
        best = np.argpartition(-similarities, most, axis=1)[:, :most]
        order = np.argsort(-np.take_along_axis(similarities, best, axis=1), axis=1)
        return np.take_along_axis(best, order, axis=1)

    def _hits(self, codes: Codes, nearest: Codes) -> tuple[np.ndarray, Codes]:
        """Return which neighbours share the query's code, and how many in the index do."""
        of_queries = codes[self.queries]
        hits = (codes[nearest] == of_queries[:, None]) & (of_queries >= 0)[:, None]
        counts = np.bincount(codes[codes >= 0], minlength=1)
        others = np.where(of_queries >= 0, counts[np.maximum(of_queries, 0)] - 1, 0)
        return hits, others


def score(figures: Figures) -> float:
    """Return one number for all figures: their mean."""
    return sum(figures.values()) / len(figures) if figures else 0.0


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
