"""Compare what was learnt of a catalogue's words with what answers its queries so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any, Final

from backend.adaptation.name_alignment import Named, align, embed_sentences
from backend.catalogue import word_alignments
from backend.database.engine import Database
from backend.embedders import FloatArray
from backend.embedders.words import Alignment, shipped_file
from backend.errors import WordsUnavailable
from backend.lab.types import Positions

Figures = Mapping[str, Any]
NAMES_FOUND: Final = "name_recall@10"


def in_use(db: Database, fingerprint: str) -> Alignment | None:
    """Return what texts are mapped with now: what was learnt, else what ships, else None.

    What cannot be read maps nothing: it counts as None.
    """
    with db.read() as session:
        content = word_alignments.load(session, fingerprint)
    file = shipped_file(fingerprint)
    if content is None and file.is_file():
        content = file.read_bytes()
    try:
        return Alignment.from_bytes(content) if content is not None else None
    except WordsUnavailable:
        return None


def before(
    known: Alignment,
    named: Named,
    encode: Callable[[Sequence[str]], FloatArray],
    *,
    learnt_from: Positions,
    measure: Callable[[Alignment], Figures],
) -> Figures:
    """Return the figures of what is in use, as if it had not seen the products left out.

    `train words` leaves out the same products each time. `adapt` learns from all names in the end,
    so the same is learnt once more from the rows `learnt_from`, and the lower figures count: a
    catalogue that has changed since makes what is stored worse than that.
    """
    found = measure(known)
    if known.hidden.size or known.provenance.get("learnt") != "in closed form":
        return found
    sentences = embed_sentences(named, encode if known.reads_sentences else None)
    again = measure(align(named, sentences, learnt_from))
    return min(found, again, key=score)


def score(figures: Figures) -> float:
    """Return what is compared: how many names find their product, else the mean precision."""
    if NAMES_FOUND in figures:
        return float(figures[NAMES_FOUND])
    precisions = [value for name, value in figures.items() if name.startswith("precision")]
    return fmean(precisions) if precisions else 0.0
