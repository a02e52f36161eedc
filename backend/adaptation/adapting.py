"""Adapt the embedder to this shop: fit, judge, and store what is better than what there is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import structlog

from backend.adaptation import stored
from backend.adaptation.choosing import Choice, Shop, choose
from backend.adaptation.fitting import in_several
from backend.adaptation.judging import score
from backend.adaptation.learning_words import learn_words
from backend.adaptation.name_alignment import Encode, Named, move
from backend.adaptation.reading import FittingSample, read_named, read_sample
from backend.catalogue import word_alignments
from backend.database.engine import Database
from backend.embedders import minilm
from backend.embedders.block_statistics import BlockStatistics
from backend.embedders.lookalike_blocks import (
    NAME,
    fingerprint_of,
    shipped_statistics,
    statistics_of,
)
from backend.embedders.photographs import shipped_head
from backend.embedders.words import Alignment, shipped_file
from backend.errors import WordsUnavailable

log = structlog.get_logger(__name__)

FEWEST_PRODUCTS: Final = 1_000
"""With an image: fewer say too little of a shop."""

LEAST_SHARE: Final = 0.9
"""Of the sampled products, whose features have to be stored."""


@dataclass(frozen=True, kw_only=True)
class Adaptation:
    """Whether statistics of this shop are better, and why not."""

    spec: str | None  # of the adapted embedder; None: what there is stays
    reason: str  # in one sentence
    figures: dict[str, Any]  # before and after; {} where nothing was judged

    def as_json(self) -> dict[str, Any]:
        """Return it as a job's result shows it."""
        return {"embedder": self.spec, "reason": self.reason, **self.figures}


def can_adapt(spec: str) -> bool:
    """Tell whether an embedder keeps features that statistics of a shop can be fitted to."""
    return spec.partition("?")[0] == NAME


def without_statistics(spec: str) -> str:
    """Return what names an embedder before it was adapted to a shop."""
    return NAME if can_adapt(spec) else spec


def adapt(
    db: Database,
    *,
    spec: str,
    features: str | None,
    keep: bool = True,
    heartbeat: Callable[[], None] = lambda: None,
) -> Adaptation:
    """Fit statistics to the stored features, and store them if they are better here.

    `spec` names the present embedder, and `features` is the fingerprint of the features that it
    keeps. Without `keep` nothing is stored. No image is opened and no network is loaded. Raises
    WeightsUnavailable where the present statistics are lost.
    """
    present = statistics_of(spec, lambda digest: stored.read(db, digest))
    if present is None:
        return _refuse(f"{spec} keeps no features; {NAME} does")
    sample = _read_usable(db, features)
    if isinstance(sample, Adaptation):
        return sample
    fitted_here = present.digest != shipped_statistics().digest
    choice = choose(sample.shop, present, fitted_here=fitted_here, heartbeat=heartbeat)
    figures = _figures(choice)
    if not sample.shop.has_rows:
        figures["incomplete"] = {"images": sample.incomplete, "of": sample.drawn}
    if keep:
        statistics = choice.statistics if choice.is_better else present
        learnt = _learn_words(db, statistics, str(features), heartbeat)
        if learnt is not None:
            figures["words"] = learnt
    if not choice.is_better:
        return Adaptation(
            spec=None, reason="the present statistics are as good here", figures=figures
        )
    if keep:
        classed = _with_classes(choice.statistics, sample.shop)
        db.write(lambda session: stored.store(session, classed))
    spec = f"{NAME}?adapted={choice.statistics.digest}"
    return Adaptation(spec=spec, reason="it is better here", figures=figures)


def _read_usable(db: Database, features: str | None) -> FittingSample | Adaptation:
    """Read a sample of the shop that statistics can be fitted to, or say why there is none."""
    with db.read() as session:
        sample = read_sample(session, features) if features else None
    count = len(sample.shop.features) if sample else 0
    if sample is None or count < LEAST_SHARE * sample.drawn:
        return _refuse(
            "the features of this catalogue's images are not stored yet: index it first, or run "
            "`lookalike adapt --features` if it is indexed"
        )
    if count < FEWEST_PRODUCTS:
        return _refuse(f"{count:,} products with an image; {FEWEST_PRODUCTS:,} are needed")
    why_not = _why_not(sample.shop)
    return _refuse(why_not) if why_not else sample


def _learn_words(
    db: Database,
    statistics: BlockStatistics,
    features: str,
    heartbeat: Callable[[], None],
) -> dict[str, Any] | None:
    """Learn what words look like to the embedder with these statistics, and keep what is best.

    What ships is moved to the vectors of these statistics, and stored where nothing better is.
    """
    fingerprint = fingerprint_of(features, statistics)
    both = (statistics, shipped_statistics())
    with db.read() as session:
        stored_before = word_alignments.load(session, fingerprint)
        named, as_shipped = read_named(session, features, both, heartbeat=heartbeat)
    known = _readable(stored_before) if stored_before else None
    moved = None if known else _shipped_words(features, statistics, named, as_shipped)
    learnt = learn_words(named, _sentence_encoder(), known=known or moved, heartbeat=heartbeat)
    is_useful = learnt is not None and learnt.is_useful
    kept = learnt.alignment if learnt is not None and is_useful else moved
    quality = dict(learnt.quality) if learnt is not None else {}
    if kept is not None:
        content = kept.to_bytes()
        told = quality if is_useful else {"sentences": kept.reads_sentences, "shipped": True}
        db.write(lambda session: word_alignments.store(session, fingerprint, content, told))
    return {**quality, "kept": is_useful} if learnt is not None else None


def _readable(content: bytes) -> Alignment | None:
    """Read a stored alignment; a damaged one is learnt anew."""
    try:
        return Alignment.from_bytes(content)
    except WordsUnavailable as error:
        log.warning("an alignment of words cannot be read", error=error.message)
        return None


def _shipped_words(
    features: str, statistics: BlockStatistics, named: Named, as_shipped: Named
) -> Alignment | None:
    """Return what ships, moved to the vectors of `named`; None where no file ships."""
    file = shipped_file(fingerprint_of(features, shipped_statistics()))
    if not file.is_file():
        return None
    alignment = Alignment.from_bytes(file.read_bytes())
    if statistics.digest == shipped_statistics().digest:
        return alignment
    return move(alignment, as_shipped.vectors, named)


def _sentence_encoder() -> Encode | None:
    """Return what embeds sentences; None where no text model can be loaded."""
    try:
        return minilm.shipped().encode
    except WordsUnavailable:
        return None


def _with_classes(statistics: BlockStatistics, shop: Shop) -> BlockStatistics:
    """Add where this shop shows each class of clothes, for queries by photographs."""
    looks = statistics.project(shop.features)[:, : statistics.blocks[0].stop]
    types = shop.labels["article_type"]
    return replace(statistics, class_looks=shipped_head().class_looks(shop.features, looks, types))


def _why_not(shop: Shop) -> str | None:
    """Return why nothing can be fitted to a shop or judged there; None if it can."""
    has_types = any((codes >= 0).any() for codes in shop.labels.values())
    if not has_types and not in_several(shop.groups).any():
        return "no product has a type or a group, so nothing can be judged"
    if not np.ptp(shop.look, axis=0).any():
        return "all images look the same, so nothing can be fitted"
    return None


def _refuse(reason: str) -> Adaptation:
    return Adaptation(spec=None, reason=reason, figures={})


def _figures(choice: Choice) -> dict[str, Any]:
    sides = {"before": choice.before, "after": choice.after}
    rounded = {
        side: {name: round(value, 4) for name, value in {**found, "mean": score(found)}.items()}
        for side, found in sides.items()
    }
    weights = {
        "mix": choice.mix.name,
        "words": choice.mix.words,
        "kind_weight": choice.statistics.kind_weight,
        "colour_weight": choice.statistics.colour_weight,
    }
    return {"queries": choice.queries, **rounded, "chosen": weights}
