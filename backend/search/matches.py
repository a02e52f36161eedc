"""From a score to a `match`: how probable it is that a shopper calls two products the same kind.

A curve is fitted on neighbours whose kind the shop's own labels tell. It is isotonic: the share of
neighbours of the same kind may rise with the score in any way, and never falls (pool adjacent
violators, Ayer et al. 1955). A logistic curve has one shape, and shares of neighbours do not have
it: they are 0.5 at a score and 0.99 a little above, with a long slope below.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Final, NamedTuple, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

Numbers: TypeAlias = NDArray[np.float64]
Outcomes: TypeAlias = NDArray[np.bool_]

BINS: Final = 40
"""Points of a curve at most."""

LEAST_IN_BIN: Final = 50
"""Pairs that one point stands for at least."""

ERROR_BINS: Final = 10
"""Bins, of equal numbers of pairs, by which the error is measured."""

HELD_OUT: Final = 5
"""Every fifth query is not fitted on: the error is measured there."""

UNREACHED: Final = 2.0
"""A score that nothing has, since scores end at 1."""


@dataclass(frozen=True)
class Pairs:
    """One query with its neighbours: their scores, and whether they are of its kind."""

    scores: Numbers
    same: Outcomes


@dataclass(frozen=True, kw_only=True)
class MatchCurve:
    """Straight lines between points: rising `scores`, and the `shares` of the same kind there.

    Below the lowest score, the line goes to a share of 0 at a score of -1. Above the highest, the
    share stays. `error` is the expected calibration error on products that it was not fitted on.
    """

    by: str  # the field that tells the kind
    scores: Sequence[float]
    shares: Sequence[float]
    error: float
    pairs: int
    products: int  # that the index held

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Self:
        """Return the curve that `asdict` gave."""
        return cls(**kept)

    def kept(self) -> dict[str, Any]:
        """Return the curve as JSON."""
        return asdict(self)

    def matches(self, scores: Sequence[float] | Numbers) -> Numbers:
        """Return the share of the same kind at each score."""
        found: Numbers = np.interp(scores, *self._points)
        return found

    def match_of(self, score: float) -> float:
        """Return the share at one score; for a few of them, an array takes longer."""
        scores, shares = self._points
        at = bisect_right(scores, score) - 1
        if at < 0 or at == len(scores) - 1:
            return shares[max(at, 0)]
        slope = (shares[at + 1] - shares[at]) / (scores[at + 1] - scores[at])
        return slope * (score - scores[at]) + shares[at]

    @cached_property
    def _points(self) -> tuple[list[float], list[float]]:
        return [-1.0, *self.scores], [0.0, *self.shares]

    def score_of(self, match: float) -> float:
        """Return the lowest score with at least this share, UNREACHED if no score has it."""
        scores, shares = self._points
        for at, share in enumerate(shares):
            if share >= match:
                if at == 0:
                    return -1.0
                rise = (match - shares[at - 1]) / (share - shares[at - 1])
                return float(scores[at - 1] + rise * (scores[at] - scores[at - 1]))
        return UNREACHED


def fit(scores: Numbers, same: Outcomes) -> tuple[list[float], list[float]] | None:
    """Return the scores and shares of a curve; None unless there are pairs of both outcomes.

    Pairs are put into bins of equal numbers by their scores. Neighbouring bins whose shares fall
    are joined.
    """
    if not same.any() or same.all() or len(scores) < 2 * LEAST_IN_BIN:
        return None
    order = np.argsort(scores, kind="stable")
    bins = min(BINS, len(scores) // LEAST_IN_BIN)
    pools: list[_Pool] = []
    for part in np.array_split(order, bins):
        pool = _Pool(float(scores[part].mean()), float(same[part].mean()), len(part))
        while pools and pools[-1].share >= pool.share:
            pool = pools.pop().joined(pool)
        pools.append(pool)
    found = [pool for pool in pools if pool.score > -1.0]
    return [round(it.score, 6) for it in found], [round(it.share, 6) for it in found]


class _Pool(NamedTuple):
    """Neighbouring bins: their mean score, the share of pairs of the same kind, and the pairs."""

    score: float
    share: float
    pairs: int

    def joined(self, other: _Pool) -> _Pool:
        """Return both as one pool."""
        pairs = self.pairs + other.pairs
        score = (self.score * self.pairs + other.score * other.pairs) / pairs
        share = (self.share * self.pairs + other.share * other.pairs) / pairs
        return _Pool(score, share, pairs)


@dataclass(frozen=True, kw_only=True)
class MatchBin:
    """Pairs of about the same match: what the curve says, and what the labels say."""

    match: float
    observed: float
    pairs: int


def compare(matches: Numbers, same: Outcomes) -> list[MatchBin]:
    """Put pairs into bins by their match, and compare each with the labels."""
    order = np.argsort(matches, kind="stable")
    return [
        MatchBin(
            match=round(float(matches[part].mean()), 4),
            observed=round(float(same[part].mean()), 4),
            pairs=len(part),
        )
        for part in np.array_split(order, min(ERROR_BINS, len(order)))
        if len(part)
    ]


def error_of(bins: Sequence[MatchBin]) -> float:
    """Return the expected calibration error: the mean distance of both, weighted by pairs."""
    pairs = sum(it.pairs for it in bins)
    total = sum(it.pairs * abs(it.match - it.observed) for it in bins)
    return round(total / pairs, 4) if pairs else float("nan")


def fit_and_judge(
    queries: Sequence[Pairs], far: Sequence[Pairs], *, by: str, products: int
) -> tuple[MatchCurve, list[MatchBin]] | None:
    """Fit a curve to four fifths of the queries, and compare it with the labels of the others.

    `far` are further pairs of each query, with products drawn from all: neighbours alone do not
    tell what low scores mean. They are fitted on, and not judged by. None where there are too few
    pairs, all of them have the same outcome, or no neighbours were found to judge by, as while an
    index is filling.
    """
    held_out = [one for at, one in enumerate(queries) if at % HELD_OUT == 0]
    others = [one for pairs in (queries, far) for at, one in enumerate(pairs) if at % HELD_OUT]
    if not others or not any(len(one.scores) for one in held_out):
        return None
    scores = np.concatenate([one.scores for one in others])
    points = fit(scores, np.concatenate([one.same for one in others]))
    if points is None:
        return None
    curve = MatchCurve(
        by=by,
        scores=points[0],
        shares=points[1],
        error=0.0,
        pairs=len(scores),
        products=products,
    )
    judged = curve.matches(np.concatenate([one.scores for one in held_out]))
    bins = compare(judged, np.concatenate([one.same for one in held_out]))
    return replace(curve, error=error_of(bins)), bins


class LastCurve:
    """The curve of the last query: mostly that of the next one, too. Threads may share it."""

    def __init__(self) -> None:
        self._read: tuple[Any, MatchCurve] | None = None

    def of(self, kept: Mapping[str, Any]) -> MatchCurve:
        """Return the curve that a generation keeps."""
        read = self._read
        if read is None or read[0] is not kept:
            read = self._read = kept, MatchCurve.of(kept)
        return read[1]


last_curve: Final = LastCurve()
