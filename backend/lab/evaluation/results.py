"""What an evaluation found, as plain values: the JSON file is these, field by field."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from backend.lab.evaluation.bootstrap import Estimate


@dataclass(frozen=True, kw_only=True)
class Contender:
    """An embedder, and what it costs."""

    spec: str
    name: str  # with every option that changes the vector
    fingerprint: str
    size: int  # dimensions
    index_mb: float  # the vectors of the index as float32, in 10⁶ bytes
    images_per_second: float | None  # forward passes alone; None: not timed
    speed: float | None  # images a second, over those of the default embedder


@dataclass(frozen=True, kw_only=True)
class Share:
    """A category's part of the products."""

    category: str
    index: int  # products
    queries: int


@dataclass(frozen=True, kw_only=True)
class CategoryScore:
    """How well the queries of one category did."""

    category: str
    queries: int
    metrics: Mapping[str, Estimate]


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """Where the neighbours of each category's queries lie."""

    categories: Sequence[str]  # the largest by queries, similar ones side by side
    shares: Sequence[Sequence[float]]  # (queries', neighbours' category); a last column of others


@dataclass(frozen=True, kw_only=True)
class Score:
    """How well one embedder did by one label for one group of queries."""

    embedder: str  # its spec
    by: str
    group: str  # all, held-out or unseen
    queries: int  # that have something relevant in the index: only they count
    skipped: int  # the others
    metrics: Mapping[str, Estimate]
    macro: Mapping[str, float]  # means over categories, each counting the same
    lead: Mapping[str, Estimate]  # over the first embedder, query by query
    coverage: float  # share of the index that is somebody's neighbour
    categories: Sequence[CategoryScore]
    confusion: Confusion


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Everything that was found, and how."""

    made_at: str  # ISO 8601, UTC
    options: Mapping[str, Any]
    index: int  # products that are searched
    queries: Mapping[str, int]  # group -> products that are asked for
    unusable: int  # products whose picture an embedder could not take; nobody was asked about them
    unseen: Sequence[str]  # categories that count as never trained on
    distribution: Mapping[str, Sequence[Share]]  # label -> categories, the largest first
    contenders: Sequence[Contender]
    scores: Sequence[Score]

    def score(self, embedder: str, by: str, group: str) -> Score:
        """Return one score."""
        wanted = (embedder, by, group)
        return next(s for s in self.scores if (s.embedder, s.by, s.group) == wanted)


def as_json(value: Any) -> Any:
    """Turn results into what JSON can hold; not-a-number becomes null."""
    if is_dataclass(value):
        return {field.name: as_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {name: as_json(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
