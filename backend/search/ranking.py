"""Metrics of ranked neighbours: average precision at k, and others.

AP@k of a query is the sum over ranks r <= k of rel(r) · P@r, divided by min(k, R), where R is the
number of relevant items in the index, the query itself left out. A query without a relevant item
has no value and is skipped.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Hits: TypeAlias = npt.NDArray[np.bool_]
"""(queries, k): of each neighbour, best first, whether it is relevant."""
Counts: TypeAlias = npt.NDArray[np.integer]
"""(queries,): relevant items in the index, the query itself left out."""
Values: TypeAlias = npt.NDArray[np.float64]


def average_precision_at_k(relevant: Hits, relevant_in_index: Counts) -> Values:
    """Return AP@k of each query, (queries,); NaN where nothing in the index is relevant.

    `relevant` (queries, k) tells of each of the k best neighbours, best first, whether it is
    relevant; a list of fewer than k neighbours is filled up with False. `relevant_in_index`
    (queries,) counts the relevant items without the query itself.
    """
    k = relevant.shape[1]
    precisions = np.cumsum(relevant, axis=1) / np.arange(1, k + 1)
    gained = (relevant * precisions).sum(axis=1)
    attainable = np.minimum(k, relevant_in_index)
    precisions_at_k = np.full(len(gained), np.nan)
    np.divide(gained, attainable, out=precisions_at_k, where=attainable > 0)
    return precisions_at_k


def precision_at_k(relevant: Hits) -> Values:
    """Return the share of relevant items among the k neighbours of each query, (queries,)."""
    shares: Values = relevant.mean(axis=1)
    return shares


def recall_at_k(relevant: Hits, relevant_in_index: Counts) -> Values:
    """Return the share of a query's relevant items that are among its k neighbours, (queries,).

    NaN where nothing in the index is relevant. It cannot exceed k / R.
    """
    recalls = np.full(len(relevant), np.nan)
    np.divide(relevant.sum(axis=1), relevant_in_index, out=recalls, where=relevant_in_index > 0)
    return recalls


def ndcg_at_k(relevant: Hits, relevant_in_index: Counts) -> Values:
    """Return the normalised discounted cumulative gain of each query, (queries,).

    A hit at rank r gains 1 / log2(r + 1); the best possible list has min(k, R) hits first
    (Järvelin and Kekäläinen 2002, with binary gains). NaN where nothing in the index is relevant.
    """
    k = relevant.shape[1]
    gains = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate([[0], np.cumsum(gains)])[np.minimum(k, relevant_in_index)]
    gained = np.full(len(relevant), np.nan)
    np.divide(relevant @ gains, ideal, out=gained, where=ideal > 0)
    return gained
