"""Text -> the vector of an image that it may describe, in the vector space of one embedder.

A sentence becomes a vector by MiniLM and by the shop's own words, such as its brands; one or two
layers map both to the space of the images. `backend.adaptation.name_alignment` learns one layer
(of the words alone where MiniLM is not installed), `backend.lab.training.words` two. Beside the
layers there may be classes, whose images a text shares by the likeness of sentences: so a text of
other words than those that were learnt is answered by what is like it (`class_vectors`).
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from backend.embedders import FloatArray
from backend.embedders.archives import UNREADABLE
from backend.errors import WordsUnavailable

WORD: Final = re.compile(r"\w+")
ARRAYS: Final = ("rarity", "hidden", "hidden_bias", "output", "output_bias")
OF_CLASSES: Final = ("class_sentences", "class_vectors")
CLASS_SHARPNESS: Final = 20  # of likeness, from class to class
CLASS_GATE: Final = 12  # of the likeness that the nearest class lacks


def _no_classes() -> npt.NDArray[np.float16]:
    return np.empty((0, 0), np.float16)


def words_of(text: str) -> set[str]:
    """Return the words of a text, in lower case."""
    return set(WORD.findall(text.lower()))


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """One or two layers from sentence and words to the vectors of images."""

    words: tuple[str, ...]
    rarity: FloatArray  # (words,): the logarithm of how many texts there are for one with the word
    hidden: npt.NDArray[np.float16]  # (units, sentence + words); empty: there is one layer
    hidden_bias: FloatArray
    output: npt.NDArray[np.float16]  # (size, units), or of one layer (size, sentence + words)
    output_bias: FloatArray
    lengths: Mapping[str, float]  # of the blocks of the images' vectors; empty without blocks
    provenance: Mapping[str, Any]
    class_sentences: npt.NDArray[np.float16] = field(default_factory=_no_classes)  # (classes, 384)
    class_vectors: npt.NDArray[np.float16] = field(default_factory=_no_classes)  # (classes, size)

    @property
    def size(self) -> int:
        """Dimensions of the vectors."""
        return len(self.output_bias)

    @property
    def reads_sentences(self) -> bool:
        """Whether a text has to be embedded by MiniLM; otherwise its words alone count."""
        first = self.hidden if self.hidden.size else self.output
        return bool(first.shape[1] > len(self.words))

    def bags(self, texts: Sequence[str]) -> FloatArray:
        """Return the known words of each text, weighted by rarity: (n, words), of length 1 or 0."""
        bags = np.zeros((len(texts), len(self.words)), np.float32)
        for row, text in enumerate(texts):
            known = [self._columns[word] for word in words_of(text) if word in self._columns]
            bags[row, known] = self.rarity[known]
        lengths = np.linalg.norm(bags, axis=1, keepdims=True)
        weighted: FloatArray = bags / np.maximum(lengths, np.float32(1e-9))
        return weighted

    def project(self, sentences: FloatArray, texts: Sequence[str]) -> FloatArray:
        """Return the vectors of texts, whose sentences MiniLM has embedded: (n, size), length 1.

        A text of which nothing is known may have the length 0.
        Sentences have no dimension where `reads_sentences` is false.
        """
        read = sentences if self.reads_sentences else sentences[:, :0]
        units = np.hstack([read, self.bags(texts)])
        if self.hidden.size:
            units = gelu(units @ self.hidden.astype(np.float32).T + self.hidden_bias)
        found = units @ self.output.astype(np.float32).T + self.output_bias
        if self.class_sentences.size:
            found += self._share_classes(sentences)
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        vectors: FloatArray = found / np.maximum(lengths, np.float32(1e-30))
        return vectors

    def to_bytes(self) -> bytes:
        """Return an .npz of the arrays, with the rest as JSON."""
        rest = {"words": self.words, "lengths": self.lengths, "provenance": self.provenance}
        names = (*ARRAYS, *OF_CLASSES) if self.class_sentences.size else ARRAYS
        arrays: dict[str, Any] = {name: getattr(self, name) for name in names}
        file = io.BytesIO()
        np.savez_compressed(file, rest=np.array(json.dumps(rest)), **arrays)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Alignment:
        """Read what `to_bytes` wrote. Raises WordsUnavailable."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                rest = json.loads(str(file["rest"]))
                names = (*ARRAYS, *(name for name in OF_CLASSES if name in file))
                arrays = {name: file[name] for name in names}
        except UNREADABLE as error:
            raise WordsUnavailable(
                "the stored alignment of words is damaged; `lookalike adapt` or `lookalike train "
                "words` learns it anew"
            ) from error
        return cls(**{**rest, "words": tuple(rest["words"])}, **arrays)

    def _share_classes(self, sentences: FloatArray) -> FloatArray:
        """Return the mean of class vectors, each by its likeness: (n, size).

        It is short where no class is like the sentence, such as a name.
        """
        likeness = sentences @ self.class_sentences.astype(np.float32).T
        most = likeness.max(axis=1, keepdims=True)
        shares = np.exp(np.float32(CLASS_SHARPNESS) * (likeness - most))
        shares /= shares.sum(axis=1, keepdims=True)
        gate = np.exp(np.float32(CLASS_GATE) * (most - 1))
        shared: FloatArray = gate * (shares @ self.class_vectors.astype(np.float32))
        return shared

    @cached_property
    def _columns(self) -> dict[str, int]:
        return {word: column for column, word in enumerate(self.words)}


def gelu(x: FloatArray) -> FloatArray:
    """Return x · Φ(x) by its approximation with tanh (https://arxiv.org/abs/1606.08415)."""
    result: FloatArray = x * (1 + np.tanh(0.7978846 * (x + 0.044715 * x**3))) / 2
    return result


def shipped_file(fingerprint: str) -> Path:
    """Return where the alignment lies that ships for the embedder with this fingerprint."""
    return Path(__file__).parent / "data" / f"words-{fingerprint[:16]}.npz"
