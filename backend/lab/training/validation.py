"""The scores of a run, on products and whole categories that it is never trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np

from backend.embedders import FloatArray
from backend.lab.evaluation.labels import Labels
from backend.lab.evaluation.neighbours import nearest
from backend.lab.evaluation.scoring import hits
from backend.lab.training.tuning_data import TuningData
from backend.lab.types import Floats, Positions
from backend.search.ranking import average_precision_at_k

K: Final = 5

Scores: TypeAlias = Mapping[str, Mapping[str, float]]
"""mAP@5 by group of queries (seen, unseen), then by label."""


class Validator:
    """Scores vectors of the validation products. Each is a query, and all are the index."""

    def __init__(self, data: TuningData, labels: Sequence[Labels]) -> None:
        """Score by the first label and by the joint ones."""
        self._labels = [
            one.take(data.validation)
            for position, one in enumerate(labels)
            if position == 0 or "+" in one.by
        ]
        is_seen = np.arange(len(data.validation)) < len(data.held_out)
        self._groups = {"seen": is_seen, "unseen": ~is_seen}

    def scores(self, vectors: FloatArray) -> dict[str, dict[str, float]]:
        """Return mAP@5 of vectors (validation, size); a group without a query is left out."""
        if len(vectors) < 2:
            return {}
        found = nearest(vectors, np.arange(len(vectors)), k=K).positions
        precisions = {one.by: _precisions(found, one) for one in self._labels}
        return {
            group: {by: float(np.nanmean(values[members])) for by, values in precisions.items()}
            for group, members in self._groups.items()
            if not any(np.isnan(values[members]).all() for values in precisions.values())
        }


def _precisions(found: Positions, labels: Labels) -> Floats:
    others = np.where(labels.codes >= 0, labels.counts()[labels.codes] - 1, 0)
    return average_precision_at_k(hits(labels, labels.codes, found), others)


def total(scores: Scores) -> float:
    """Return the figure that epochs are compared by; of unseen, the first label alone counts."""
    seen, unseen = list(scores.get("seen", {}).values()), list(scores.get("unseen", {}).values())
    values = [*seen, *unseen[:1]]
    return float(np.mean(values)) if values else 0.0


def best(history: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the entry of the best epoch; the last one where there are no scores."""
    scored = [entry for entry in history if entry["scores"]]
    return max(scored, key=lambda entry: float(entry["total"])) if scored else history[-1]
