"""How good is a run so far? By products, and whole categories, that it never sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from backend.embedders import FloatArray
from backend.lab.evaluation.judging import hits
from backend.lab.evaluation.neighbours import nearest
from backend.lab.evaluation.products import Labels
from backend.lab.training.features import Rows
from backend.lab.training.material import Material
from backend.search.ranking import average_precision_at_k

K: Final = 5

Scores: TypeAlias = Mapping[str, Mapping[str, float]]
"""mAP@5 by group of queries (seen, unseen), then by label."""


class Judge:
    """Scores vectors of the judged products: each asked for among all of them."""

    def __init__(self, material: Material, labels: Sequence[Labels]) -> None:
        """Judge by the first label, and by the joint ones."""
        self._labels = [
            one.take(material.judged)
            for position, one in enumerate(labels)
            if position == 0 or "+" in one.by
        ]
        is_seen = np.arange(len(material.judged)) < len(material.held_out)
        self._groups = {"seen": is_seen, "unseen": ~is_seen}

    def scores(self, vectors: FloatArray) -> dict[str, dict[str, float]]:
        """Return mAP@5 of vectors (judged, size); a group without a query is left out."""
        if len(vectors) < 2:
            return {}
        found = nearest(vectors, np.arange(len(vectors)), k=K).positions
        precisions = {one.by: _precisions(found, one) for one in self._labels}
        return {
            group: {by: float(np.nanmean(values[members])) for by, values in precisions.items()}
            for group, members in self._groups.items()
            if not any(np.isnan(values[members]).all() for values in precisions.values())
        }


def _precisions(found: Rows, labels: Labels) -> npt.NDArray[np.float64]:
    others = np.where(labels.codes >= 0, labels.counts()[labels.codes] - 1, 0)
    return average_precision_at_k(hits(labels, labels.codes, found), others)


def total(scores: Scores) -> float:
    """Return the one figure that runs are compared by: unseen counts by its first label alone."""
    seen, unseen = list(scores.get("seen", {}).values()), list(scores.get("unseen", {}).values())
    values = [*seen, *unseen[:1]]
    return float(np.mean(values)) if values else 0.0


def best(history: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the entry of the best epoch; the last one where nothing was held out to judge by."""
    judged = [entry for entry in history if entry["scores"]]
    return max(judged, key=lambda entry: float(entry["total"])) if judged else history[-1]
