"""A shopper's picture -> vector: by this process's network, or by a worker that holds one."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from backend import images
from backend.database.models import Generation
from backend.embedders import Embedder
from backend.generations import check_fingerprint
from backend.images.decode import Size
from backend.images.decoder_pool import DecoderPool
from backend.images.limits import ImageLimits

Vector: TypeAlias = npt.NDArray[np.float32]

SENT_SIDE: Final = 256
"""The longer side, in pixels, of a picture that is sent to a worker.

It travels without loss, as a PNG of 5 to 70 KB. So a picture that is no larger keeps its vector,
and 60 photographs of 1800 x 2400 kept a cosine of 0.997 (least 0.991), which is what resizing in
two steps costs. JPEG at quality 95 would take half the bytes, and 60 x 80 thumbnails from 1.0 down
to 0.990 (least 0.936).
"""


class QueryEncoder(Protocol):
    """Turns the bytes of an untrusted image file into a query for one generation.

    Raises ImageError, ModelMismatch when the network at hand is not the generation's, and
    EmbedderBusy when none answers in time.
    """

    def __call__(self, generation: Generation, data: bytes) -> Vector:
        """Return the vector, (size,) float32, L2-normalised."""
        ...


class EmbedRemotely(Protocol):
    """Has a worker embed a small picture."""

    def __call__(self, image: bytes, *, spec: str, seconds: float) -> tuple[Vector, str]:
        """Return (vector, fingerprint of the embedder); raise EmbedderBusy after `seconds`."""
        ...


class LocalQueryEncoder:
    """Embeds in this process."""

    def __init__(
        self, embedder_of: Callable[[Generation], Embedder], decoders: DecoderPool
    ) -> None:
        self._embedder_of = embedder_of
        self._decoders = decoders

    def __call__(self, generation: Generation, data: bytes) -> Vector:
        """See Encoder."""
        embedder = self._embedder_of(generation)
        check_fingerprint(generation, embedder.fingerprint)
        picture = self._decoders.decode_one(data, target=embedder.input_size).image
        vector: Vector = embedder.embed([picture])[0]
        return vector


class RemoteQueryEncoder:
    """Checks and shrinks the picture here, where torch is never imported; a worker embeds it."""

    def __init__(
        self, embed: EmbedRemotely, decoders: DecoderPool, *, limits: ImageLimits, seconds: float
    ) -> None:
        self._embed = embed
        self._decoders = decoders
        self._limits = limits
        self._seconds = seconds

    def __call__(self, generation: Generation, data: bytes) -> Vector:
        """See Encoder."""
        info = images.inspect(data, limits=self._limits)
        target = sent_size(info.height, info.width)
        png = io.BytesIO()
        self._decoders.decode_one(data, target=target).image.save(png, "PNG", compress_level=3)
        vector, fingerprint = self._embed(
            png.getvalue(), spec=generation.embedder, seconds=self._seconds
        )
        check_fingerprint(generation, fingerprint)
        return vector


def sample_image() -> bytes:
    """Return a small grey picture's file, to ask an encoder whether it is there."""
    png = io.BytesIO()
    Image.new("RGB", (64, 64), "grey").save(png, "PNG")
    return png.getvalue()


def sent_size(height: int, width: int) -> Size:
    """Return the (height, width) that a picture is sent in: its own shape, within SENT_SIDE."""
    scale = min(1.0, SENT_SIDE / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))
