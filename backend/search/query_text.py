"""A shopper's words -> query vector, in the vector space of a generation."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
from sqlalchemy.orm import Session

from backend.catalogue import word_alignments
from backend.database.engine import Database
from backend.database.models import Generation
from backend.embedders import minilm
from backend.embedders.minilm import MiniLm
from backend.embedders.words import Alignment, shipped_file
from backend.errors import WordsUnavailable
from backend.vectors import Vector

COMMAND: Final = "lookalike train words"
LONGEST: Final = 500
"""Characters of a text."""

MOST_KEPT: Final = 4
"""Alignments that a process keeps in memory, each of some megabytes."""


@dataclass(frozen=True)
class TextVector:
    """A text as a vector of length 1, and the lengths of the blocks of stored vectors."""

    vector: Vector
    lengths: Mapping[str, float]


class TextEncoder:
    """Turns words into query vectors. Safe to call from several threads."""

    def __init__(self, db: Database, *, model: Callable[[], MiniLm] = minilm.shipped) -> None:
        self._db = db
        self._model = model
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, datetime], Alignment] = {}

    def encode(self, generation: Generation, text: str) -> TextVector:
        """Return the vector of a text, (size,) float32 of length 1.

        Raises WordsUnavailable where nothing has been learnt for the embedder of this generation,
        where the text model is needed and not installed, and where words alone are read and none of
        them is known.
        """
        alignment = self._learnt(generation)
        if alignment is not None and not alignment.reads_sentences:
            return _say_words(alignment, text)
        model = self._model()
        if alignment is None:
            alignment = _shipped(shipped_file(generation.fingerprint), generation.embedder)
        vector = alignment.project(model.encode([text]), [text])[0]
        return TextVector(vector, alignment.lengths)

    def _learnt(self, generation: Generation) -> Alignment | None:
        """Return what was learnt on this catalogue, None if nothing was."""
        fingerprint = generation.fingerprint
        with self._db.read() as session:
            at = word_alignments.stored_at(session, fingerprint)
            if at is not None and (kept := self._kept.get((fingerprint, at))):
                return kept
            data = word_alignments.load(session, fingerprint) if at is not None else None
        if at is None or data is None:
            return None
        alignment = Alignment.from_bytes(data)
        with self._lock:
            while len(self._kept) >= MOST_KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[fingerprint, at] = alignment
        return alignment


def can_encode(session: Session, generation: Generation) -> bool:
    """Tell, without loading anything, whether texts can be compared with this generation."""
    fingerprint = generation.fingerprint
    if find_spec(minilm.PACKAGE) is None:
        return word_alignments.reads_words_alone(session, fingerprint)
    is_learnt = word_alignments.stored_at(session, fingerprint) is not None
    return is_learnt or shipped_file(fingerprint).is_file()


def _say_words(alignment: Alignment, text: str) -> TextVector:
    if not alignment.bags([text]).any():
        raise WordsUnavailable(
            "no word of this text stands in the names of this catalogue, and without the extra "
            f"`text` only these are known: {minilm.EXTRA}, then `lookalike adapt`"
        )
    return TextVector(alignment.project(np.empty((1, 0), np.float32), [text])[0], alignment.lengths)


@cache
def _shipped(file: Path, embedder: str) -> Alignment:
    """Read the alignment that ships for an embedder. Raises WordsUnavailable."""
    if not file.is_file():
        raise WordsUnavailable(
            f"what words look like to {embedder} is not known here: run `{COMMAND}`, which learns "
            "it from the names and labels of this catalogue"
        )
    return Alignment.from_bytes(file.read_bytes())
