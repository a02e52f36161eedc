"""Choose the statistics of a shop: the map of the look, and the weight of the kind.

The weight of the colours stays: a query can set it, and more of it costs all figures but one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from backend.adaptation.fitting import (
    GROUPS,
    NEIGHBOURS,
    WHITENED,
    Codes,
    LookFitter,
    LookMap,
    Mix,
    in_several,
)
from backend.adaptation.judging import Figures, Judge, score
from backend.embedders import FloatArray
from backend.embedders.block_statistics import BlockStatistics
from backend.embedders.kept_features import LOOK

KIND_WEIGHTS: Final = (0.0, 0.4, 0.8, 1.6)
FEWEST_GROUPS: Final = 50  # of several variants, in the half that is fitted on
MOST_QUERIES: Final = 2_000
LEAST_GAIN: Final = 0.003
"""Of the mean figure: less is noise, and not worth another index."""


@dataclass(frozen=True, kw_only=True)
class Shop:
    """What is known of a sample of one shop's products."""

    features: FloatArray  # (products, features), as kept
    labels: Mapping[str, Codes]
    groups: Codes  # -1: without one


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The best statistics that were found, and both sides' figures on the same queries."""

    statistics: BlockStatistics
    before: Figures
    after: Figures
    mix: str
    queries: int

    @property
    def is_better(self) -> bool:
        """Whether the statistics are worth another index."""
        return score(self.after) >= score(self.before) + LEAST_GAIN


def choose(
    shop: Shop, present: BlockStatistics, *, heartbeat: Callable[[], None] = lambda: None
) -> Choice:
    """Fit on one half of the groups, choose on products of the other, then fit on all groups.

    Products without a group are on both sides: fitting reads no label of theirs.
    """
    fitted_on = _first_half(shop.groups)
    judge = Judge(
        labels=shop.labels,
        groups=shop.groups,
        queries=_draw_queries(~fitted_on),
        heartbeat=heartbeat,
    )
    fitter = LookFitter(shop.features[:, LOOK], np.where(fitted_on, shop.groups, -1))
    before = judge.figures(present.project(shop.features))
    mixes = _mixes(shop.groups, fitted_on)
    tried = [_statistics(fitter.fit(mix), present) for mix in mixes]
    best = _best(judge, shop, tried)
    mix = mixes[tried.index(best)]
    best = _best(judge, shop, [replace(best, kind_weight=value) for value in KIND_WEIGHTS])
    after = judge.figures(best.project(shop.features))
    whole = LookFitter(shop.features[:, LOOK], shop.groups).fit(mix)
    card = {"mix": mix.name, "products": len(shop.features), "before": before, "after": after}
    return Choice(
        statistics=replace(_statistics(whole, best), card=card),
        before=before,
        after=after,
        mix=mix.name,
        queries=len(judge.queries),
    )


def _mixes(groups: Codes, fitted_on: np.ndarray) -> list[Mix]:
    several = np.unique(groups[fitted_on & in_several(groups)])
    return [WHITENED, NEIGHBOURS, *([GROUPS] if len(several) >= FEWEST_GROUPS else [])]


def _statistics(look: LookMap, weights: BlockStatistics) -> BlockStatistics:
    components = look.components.astype(np.float16)
    return replace(weights, mean=look.mean.astype(np.float32), components=components)


def _best(judge: Judge, shop: Shop, candidates: Sequence[BlockStatistics]) -> BlockStatistics:
    scores = [score(judge.figures(one.project(shop.features))) for one in candidates]
    return candidates[int(np.argmax(scores))]


def _first_half(groups: Codes) -> np.ndarray:
    """Tell which products are in a group that may be fitted on: half of the groups, drawn."""
    names = np.unique(groups[groups >= 0])
    chosen = np.random.RandomState(0).permutation(names)[: len(names) // 2]
    return np.isin(groups, chosen)


def _draw_queries(allowed: np.ndarray) -> Codes:
    positions = np.flatnonzero(allowed)
    return np.sort(np.random.RandomState(0).permutation(positions)[:MOST_QUERIES])
