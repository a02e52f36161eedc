"""The results of an evaluation. The JSON file has these fields."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from backend.lab.evaluation.intervals import Estimate
from backend.search.matches import MatchBin


@dataclass(frozen=True, kw_only=True)
class Contender:
    """An embedder, its size and its speed."""

    spec: str
    name: str  # with every option that changes the vector
    fingerprint: str
    size: int  # dimensions
    index_mb: float  # the vectors of the index as float32, in 10⁶ bytes
    images_per_second: float | None  # forward passes alone; None: not timed
    speed: float | None  # ratio to the default embedder's images a second


@dataclass(frozen=True, kw_only=True)
class Share:
    """The number of products in a category."""

    category: str
    index: int  # products
    queries: int


@dataclass(frozen=True, kw_only=True)
class CategoryScore:
    """The score of the queries of one category."""

    category: str
    queries: int
    metrics: Mapping[str, Estimate]


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """The categories of the neighbours of each category's queries."""

    categories: Sequence[str]  # the largest by queries, similar ones side by side
    shares: Sequence[Sequence[float]]  # (queries', neighbours' category); a last column of others


@dataclass(frozen=True, kw_only=True)
class Score:
    """The score of one embedder by one label for one group of queries."""

    embedder: str  # its spec
    by: str
    group: str  # all, held-out or unseen
    queries: int  # with a relevant product in the index: only these count
    skipped: int  # without a relevant product
    metrics: Mapping[str, Estimate]
    macro: Mapping[str, float]  # means over categories with equal weights
    lead: Mapping[str, Estimate]  # over the first embedder, query by query
    coverage: float  # share of the index that is a neighbour of some query
    categories: Sequence[CategoryScore]
    confusion: Confusion


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The curve from a cosine to the share of neighbours with the label, and how true it is."""

    embedder: str  # its spec
    by: str
    scores: Sequence[float]  # the points of the curve
    shares: Sequence[float]
    fitted_pairs: int
    pairs: int  # of other products, by which it is judged
    error: float  # expected calibration error
    bins: Sequence[MatchBin]  # those pairs by their match


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All results, and the options that led to them."""

    made_at: str  # ISO 8601, UTC
    options: Mapping[str, Any]
    index: int  # its products
    queries: Mapping[str, int]  # group -> its queries
    unusable: int  # products left out, because an embedder could not use their image
    unseen: Sequence[str]  # categories that are never trained on
    distribution: Mapping[str, Sequence[Share]]  # label -> categories, the largest first
    contenders: Sequence[Contender]
    scores: Sequence[Score]
    calibrations: Sequence[Calibration] = ()  # by the first label; none for distances

    def calibration(self, embedder: str) -> Calibration | None:
        """Return the calibration of an embedder, if there is one."""
        return next((it for it in self.calibrations if it.embedder == embedder), None)

    def score(self, embedder: str, by: str, group: str) -> Score:
        """Return one score."""
        wanted = (embedder, by, group)
        return next(s for s in self.scores if (s.embedder, s.by, s.group) == wanted)


def as_json(value: Any) -> Any:
    """Return results as JSON values; NaN and infinity become null."""
    if is_dataclass(value):
        return {field.name: as_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {name: as_json(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
