"""The parts of a request to the shard: filter classes and search parameters."""

from __future__ import annotations

from typing import Final

import numpy as np
import qdrant_edge as qe

from backend.vectors import SearchMode
from backend.vectors.edge.shard import ShardOptions
from backend.vectors.translate import SdkFilters

EDGE_FILTERS: Final = SdkFilters(
    types=qe,
    range=qe.RangeFloat,
    has_id=lambda ids: qe.HasIdCondition(set(ids)),
    is_empty=qe.IsEmptyCondition,
    has_vector=qe.HasVectorCondition,
    boolean=np.bool_,  # it takes Python's True for the integer 1, and then finds nothing
)


def search_params(mode: SearchMode, options: ShardOptions) -> qe.SearchParams:
    """Return the parameters of a search. Without rescoring, int8 found 86% of the neighbours."""
    exact = mode is SearchMode.EXACT
    acorn = qe.AcornSearchParams(enable=True) if mode is SearchMode.ACORN else None
    int8 = qe.QuantizationSearchParams(ignore=exact, rescore=True, oversampling=2.0)
    return qe.SearchParams(
        exact=exact, acorn=acorn, quantization=int8 if options.quantization else None
    )
