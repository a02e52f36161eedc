"""Whether an embedder works at all: a control experiment with a grey image."""

from __future__ import annotations

import numpy as np
from PIL import Image

from backend.embedders import Embedder
from backend.errors import EmbedderFailed


def check_works(embedder: Embedder) -> None:
    """Raise EmbedderFailed unless a grey image gets a vector that is finite and not all zeros.

    Asked after an image has failed. A device's error breaks each later call in its process, so the
    image need not be at fault.
    """
    height, width = embedder.input_size
    try:
        (vector,) = embedder.embed([Image.new("RGB", (width, height), "grey")])
    except Exception as error:
        raise EmbedderFailed(f"{type(error).__name__}: {error}") from error
    if not (np.isfinite(vector).all() and vector.any()):
        raise EmbedderFailed("the embedder makes vectors that are all zeros or not finite")
