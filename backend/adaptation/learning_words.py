"""Learn what a shop's words look like, and judge it by names that were left out."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from backend.adaptation.contrasting import Rows, Texts
from backend.adaptation.name_alignment import (
    Encode,
    Named,
    align,
    embed_sentences,
)
from backend.embedders import FloatArray
from backend.embedders.words import Alignment

FEWEST_NAMES: Final = 300
HELD_OUT: Final = 5  # one name of so many is judged with
MOST_QUERIES: Final = 1_000
FIRST: Final = 10  # products among which the right one has to be
LEAST_OF_CHANCE: Final = 5
"""How much better than chance names have to find their product."""
QUERIES_AT_ONCE: Final = 250


@dataclass(frozen=True, kw_only=True)
class Learnt:
    """What was learnt from all names, and how names that were left out find their product."""

    alignment: Alignment
    quality: Mapping[str, Any]
    is_useful: bool


def learn_words(
    named: Named,
    encode: Encode | None,
    *,
    known: Alignment | None = None,
    heartbeat: Callable[[], None] = lambda: None,
) -> Learnt | None:
    """Learn from four fifths of the names and judge by the others, then learn from all.

    `encode` embeds sentences; None: words alone are read. It is useful if it is better than `known`
    and than chance. Returns None where too few products have a name, or all have the same.
    """
    has_name = np.array([bool(name) for name in named.names])
    left_out = leave_out(named.names)
    if has_name.sum() < FEWEST_NAMES or not (has_name & ~left_out).any():
        return None
    sentences = embed_sentences(named, encode, heartbeat)
    trial = align(named, sentences, np.flatnonzero(~left_out), heartbeat=heartbeat)
    queries = np.flatnonzero(left_out & has_name)[:MOST_QUERIES]
    found = _recall(trial, named, sentences, queries)
    before = 0.0
    if known is not None and known.reads_sentences <= (encode is not None):
        before = _recall(known, named, sentences, queries)
    heartbeat()
    chance = FIRST / len(named.vectors)
    quality = {
        "products": int(has_name.sum()),
        "words": len(trial.words),
        "queries": len(queries),
        f"name_recall@{FIRST}": round(found, 4),
        "before": round(before, 4),
        "sentences": encode is not None,
    }
    return Learnt(
        alignment=align(named, sentences, heartbeat=heartbeat),
        quality=quality,
        is_useful=found > max(before, LEAST_OF_CHANCE * chance),
    )


def leave_out(names: Texts, one_of: int = HELD_OUT) -> npt.NDArray[np.bool_]:
    """Tell which products (n,) are left out: all of one name of so many, by the name's CRC-32."""
    return np.array([zlib.crc32((name or "").encode()) % one_of == 0 for name in names])


def ranks(scores: FloatArray, own: Rows) -> Rows:
    """Return how many products score higher than the own one of each query: (queries,)."""
    of_own = scores[np.arange(len(own)), own]
    return np.asarray((scores > of_own[:, None]).sum(axis=1), np.intp)


def _recall(
    alignment: Alignment, named: Named, sentences: Mapping[str, FloatArray], queries: Rows
) -> float:
    """Return the share of names that find their product among the first ten of all.

    A name without a vector finds nothing, though no product scores higher than its own.
    """
    found = 0
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        part = queries[start : start + QUERIES_AT_ONCE]
        names = [str(named.names[row]) for row in part]
        embedded = np.stack([sentences[name] for name in names])
        texts = alignment.project(embedded, names)
        is_first = ranks(texts @ named.vectors.T, part) < FIRST
        found += int((is_first & texts.any(axis=1)).sum())
    return found / max(1, len(queries))
