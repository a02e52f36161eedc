"""Choose the statistics of a shop: the map of the look, and the weights of kind and colours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from backend.adaptation.fitting import (
    GROUPS,
    NEIGHBOURS,
    WHITENED,
    Codes,
    LookFitter,
    LookMap,
    Mix,
    even_colours,
    in_several,
)
from backend.adaptation.judging import COLOURS, VARIANTS, Figures, Judge, score
from backend.adaptation.name_words import Words
from backend.embedders import FloatArray
from backend.embedders.block_statistics import BlockStatistics
from backend.embedders.kept_features import COLOUR
from backend.embedders.kept_rows import WITH_ROWS, look_of

Mask = npt.NDArray[np.bool_]

KIND_WEIGHTS: Final = (0.0, 0.4, 0.8, 1.6)
KIND_COST: Final = 0.0015
"""Of the mean figure, which a smaller weight of the kind may take."""
EVENED_COST: Final = 0.0015
"""Of the mean figure, which colours that are evened out may take: a smaller difference is noise."""
COLOUR_WEIGHTS: Final = (0.2, 0.22, 0.25, 0.3, 0.35, 0.4)
COLOUR_COST: Final = 0.01
"""Of the mean figure, which a larger weight of the colours may take."""
WORD_WEIGHTS: Final = (0.7, 1.2)
FEWEST_NAMES: Final = 300  # with words, in the half that is fitted on
FEWEST_GROUPS: Final = 50  # of several variants, in the half that is fitted on
MOST_QUERIES: Final = 2_000
LEAST_GAIN: Final = 0.003
"""Of the mean figure: less is noise, and not worth another index."""


@dataclass(frozen=True, kw_only=True)
class Shop:
    """What is known of a sample of one shop's products."""

    features: FloatArray  # (products, features), as kept
    labels: Mapping[str, Codes]
    groups: Codes  # of variants; -1: without one
    words: Sequence[Words] = ()  # of names; (): not known
    guessed: bool = False  # whether the groups are those of equal names

    @property
    def look(self) -> FloatArray:
        """What maps of the look read, (products, 768), or (products, 992) where all have rows."""
        return look_of(self.features, with_rows=self.has_rows)

    @property
    def has_rows(self) -> bool:
        """Whether the features have the rows of images."""
        return bool(self.features.shape[1] == WITH_ROWS)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The best statistics that were found, and both sides' figures on the same queries."""

    statistics: BlockStatistics
    before: Figures
    after: Figures
    mix: Mix
    queries: int

    @property
    def is_better(self) -> bool:
        """Whether the statistics are worth another index."""
        return score(self.after) >= score(self.before) + LEAST_GAIN


def choose(
    shop: Shop,
    present: BlockStatistics,
    *,
    fitted_here: bool = False,
    heartbeat: Callable[[], None] = lambda: None,
) -> Choice:
    """Fit on one half of the groups and names, choose on products of the other, then fit on all.

    Products with neither are on both sides: fitting reads no label of theirs. If the present
    statistics were fitted to this shop (`fitted_here`), they know groups and names of the queries.
    So the new ones are compared with them when they have been fitted to all, too.
    """
    fitted_on = _first_half(shop)
    judge = Judge(
        labels=shop.labels,
        groups=shop.groups,
        queries=_draw_queries(~fitted_on),
        heartbeat=heartbeat,
    )
    before = judge.figures(present.project(shop.features))
    mix, best = _best_map(judge, shop, fitted_on, present)
    best = _least_kind(judge, shop, best)
    best = even_if_no_worse(judge, shop, best)
    best = keep_colours(judge, shop, best, before)
    heartbeat()
    whole = _statistics(LookFitter(shop.look, shop.groups, shop.words).fit(mix), best)
    after = judge.figures((whole if fitted_here else best).project(shop.features))
    return Choice(
        statistics=replace(whole, card=_card(shop, mix, before, after)),
        before=before,
        after=after,
        mix=mix,
        queries=len(judge.queries),
    )


def _card(shop: Shop, mix: Mix, before: Figures, after: Figures) -> dict[str, Any]:
    """Return what the statistics say of how they were chosen."""
    return {
        "mix": mix.name,
        "words": mix.words,
        "products": len(shop.features),
        "before": before,
        "after": after,
    }


def _best_map(
    judge: Judge, shop: Shop, fitted_on: Mask, present: BlockStatistics
) -> tuple[Mix, BlockStatistics]:
    """Return the best mix of covariances, and then of words beside it, fitted on one half."""
    words = words_to_read(shop, fitted_on)
    fitter = LookFitter(shop.look, np.where(fitted_on, shop.groups, -1), words)
    mixes = _mixes(shop.groups, fitted_on)
    tried = [_statistics(fitter.fit(mix), present) for mix in mixes]
    best = _best(judge, shop, tried)
    mix = mixes[tried.index(best)]
    if sum(map(bool, words)) < FEWEST_NAMES:
        return mix, best
    worded = [replace(mix, words=weight) for weight in WORD_WEIGHTS]
    tried = [best, *(_statistics(fitter.fit(each), present) for each in worded)]
    best = _best(judge, shop, tried)
    return [mix, *worded][tried.index(best)], best


def keep_colours(
    judge: Judge, shop: Shop, best: BlockStatistics, before: Figures
) -> BlockStatistics:
    """Weigh colours more while fewer neighbours have the query's colour than before.

    A map that ignores what differs between neighbours ignores shades. Where the feed has groups,
    the shop has said that its variants are one product, and nothing changes. Where variants are
    not known, what this costs them is not seen, so there are two steps at most.
    """
    if not shop.guessed and in_several(shop.groups).any():
        return best
    found = judge.figures(best.project(shop.features))
    least = score(found) - COLOUR_COST
    for weight in COLOUR_WEIGHTS if VARIANTS in found else COLOUR_WEIGHTS[:2]:
        if found.get(COLOURS, 1) >= before.get(COLOURS, 0) or weight <= best.colour_weight:
            continue
        tried = replace(best, colour_weight=weight)
        found = judge.figures(tried.project(shop.features))
        if score(found) < least:
            break
        best = tried
    return best


def _least_kind(judge: Judge, shop: Shop, best: BlockStatistics) -> BlockStatistics:
    """Weigh the kind as little as costs no more than KIND_COST: another shop has taught it.

    What it costs variants is not seen where they are not known.
    """
    tried = [replace(best, kind_weight=value) for value in KIND_WEIGHTS]
    scores = [score(judge.figures(one.project(shop.features))) for one in tried]
    return next(
        one for one, found in zip(tried, scores, strict=True) if found >= max(scores) - KIND_COST
    )


def even_if_no_worse(judge: Judge, shop: Shop, best: BlockStatistics) -> BlockStatistics:
    """Even out colours, unless this costs more than EVENED_COST: it brings variants nearer.

    That is not seen where variants are not known. Colours that are all the same stay as they are.
    """
    kept = replace(best, colour_map=None)
    colours = shop.features[:, COLOUR]
    if not np.ptp(colours, axis=0).any():
        return kept
    evened = replace(best, colour_map=even_colours(colours))
    before, after = (score(judge.figures(each.project(shop.features))) for each in (kept, evened))
    return evened if after >= before - EVENED_COST else kept


def _mixes(groups: Codes, fitted_on: Mask) -> list[Mix]:
    several = np.unique(groups[fitted_on & in_several(groups)])
    return [WHITENED, NEIGHBOURS, *([GROUPS] if len(several) >= FEWEST_GROUPS else [])]


def words_to_read(shop: Shop, fitted_on: Mask) -> list[Words]:
    """Return the words of each name that is fitted on, (products,); others have none.

    A name that a query has, too, is not fitted on: its neighbours would be told.
    """
    asked = {words for words, fitted in zip(shop.words, fitted_on, strict=False) if not fitted}
    pairs = zip(shop.words, fitted_on, strict=False)
    return [words if fitted and words not in asked else frozenset() for words, fitted in pairs]


def _statistics(look: LookMap, weights: BlockStatistics) -> BlockStatistics:
    components = look.components.astype(np.float16)
    return replace(weights, mean=look.mean.astype(np.float32), components=components)


def _best(judge: Judge, shop: Shop, candidates: Sequence[BlockStatistics]) -> BlockStatistics:
    scores = [score(judge.figures(one.project(shop.features))) for one in candidates]
    return candidates[int(np.argmax(scores))]


def _first_half(shop: Shop) -> Mask:
    """Tell which products may be fitted on: half of the groups, and of the other names, drawn."""
    single = np.arange(len(shop.groups)) + shop.groups.max(initial=-1) + 1
    units = np.where(shop.groups >= 0, shop.groups, single)
    can_teach = shop.groups >= 0
    if shop.words:
        can_teach |= np.array([bool(words) for words in shop.words])
    names = np.unique(units[can_teach])
    chosen = np.random.RandomState(0).permutation(names)[: len(names) // 2]
    return np.isin(units, chosen)


def _draw_queries(allowed: np.ndarray) -> Codes:
    positions = np.flatnonzero(allowed)
    return np.sort(np.random.RandomState(0).permutation(positions)[:MOST_QUERIES])
