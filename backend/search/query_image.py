"""A shopper's image -> query vector, by a network in this process or in a worker."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias

from PIL import Image

from backend.database.models import Generation
from backend.embedders import Embedder, TellsPhotographs
from backend.embedders.control import check_works
from backend.embedders.loaded import LoadedEmbedders
from backend.embedders.regions import FoundRegion, Frame
from backend.errors import ImageError
from backend.generations import EmbedderIdentity, check_fingerprint
from backend.images.box import Box
from backend.images.decode import Size
from backend.images.decoder_pool import DecoderPool, Region, Target
from backend.vectors import Vector

SENT_SIDE: Final = 256
"""The longer side, in pixels, of an image that is sent to a worker.

It is sent without loss, as a PNG of 5 to 70 KB. So an image that is no larger keeps its vector. For
60 photographs of 1800 x 2400 the cosine to the vector of the original was 0.997 (least 0.991),
because they are resized twice. A JPEG of quality 95 has half the bytes, but for 60 x 80 thumbnails
it lowers the cosine from 1.0 to 0.990 (least 0.936).
"""


class EmbeddedQuery(NamedTuple):
    """What the embedder made of a shopper's image."""

    vector: Vector  # (size,) float32, L2-normalised
    fingerprint: str  # of the embedder
    kind: str | None = None  # catalogue, photograph; None: the embedder does not tell them apart
    regions: Sequence[FoundRegion] | None = None  # the surest first; None: the embedder finds none
    own: Vector | None = None  # without the move to a class; None: it is `vector`
    composed: bool = False  # pasted together, so that one region is compared
    compared: Frame | None = None  # the part that `vector` is of; None: the whole, or the box


EmbedPart: TypeAlias = Callable[[Box | None], EmbeddedQuery]
"""Embeds a part of one image; None: the whole."""


class QueryEncoder(Protocol):
    """Turns images into query vectors, where shoppers' images are embedded."""

    def encode(self, generation: Generation, data: bytes, box: Box | None = None) -> Vector:
        """Return the vector of what `embed_image` returns."""
        ...

    def embed_image(
        self, generation: Generation, data: bytes, box: Box | None = None
    ) -> EmbeddedQuery:
        """Embed an untrusted image file.

        With a `box`, of that region alone; without one, of its first region if it is pasted
        together. Raises ImageError, ModelMismatch when the network at
        hand is not the one that the generation was built with, EmbedderBusy when none answers in
        time, EmbedderFailed when its device is broken, and DecoderBusy or DecoderUnavailable.
        """
        ...

    def check(self, generation: Generation) -> None:
        """Embed a sample image for a generation; raises ModelMismatch or EmbedderBusy."""
        ...

    def identify(self, spec: str) -> EmbedderIdentity:
        """Return what a spec names now: its weights are read again.

        Raises what `embedders.load` raises, and EmbedderBusy when no worker answers.
        """
        ...


class EmbedRemotely(Protocol):
    """Has a worker embed a small image."""

    def __call__(self, image: bytes, /, *, spec: str, seconds: float) -> EmbeddedQuery:
        """Return what a worker made of it; raise EmbedderBusy after `seconds`."""
        ...


class LocalQueryEncoder:
    """Embeds in this process."""

    def __init__(self, embedders: LoadedEmbedders, decoders: DecoderPool) -> None:
        self._embedders = embedders
        self._decoders = decoders

    def encode(self, generation: Generation, data: bytes, box: Box | None = None) -> Vector:
        return self.embed_image(generation, data, box).vector

    def embed_image(
        self, generation: Generation, data: bytes, box: Box | None = None
    ) -> EmbeddedQuery:
        embedder = self._embedders.of(generation)
        check_fingerprint(generation, embedder.fingerprint)

        def embed_part(part: Box | None) -> EmbeddedQuery:
            target = _part(part, embedder.input_size)
            return _embed(embedder, self._decoders.decode_one(data, target=target).image)

        return _embed_image(embed_part, box)

    def check(self, generation: Generation) -> None:
        self.encode(generation, sample_image())

    def identify(self, spec: str) -> EmbedderIdentity:
        return EmbedderIdentity.of(spec, self._embedders.reload(spec))

    def embed(self, data: bytes, spec: str) -> EmbeddedQuery:
        """Embed one untrusted image file by the embedder that a spec names.

        Raises ImageError, and what `embedders.load` raises.
        """
        embedder = self._embedders.named(spec)
        image = self._decoders.decode_one(data, target=embedder.input_size).image
        return _embed(embedder, image)


class RemoteQueryEncoder:
    """Checks and shrinks the image here, where torch is never imported; a worker embeds it.

    `seconds` is how long a shopper waits for the worker.
    """

    def __init__(
        self,
        embed: EmbedRemotely,
        decoders: DecoderPool,
        *,
        seconds: float,
    ) -> None:
        self._embed = embed
        self._decoders = decoders
        self._seconds = seconds

    def encode(self, generation: Generation, data: bytes, box: Box | None = None) -> Vector:
        return self.embed_image(generation, data, box).vector

    def embed_image(
        self, generation: Generation, data: bytes, box: Box | None = None
    ) -> EmbeddedQuery:
        def embed_part(part: Box | None) -> EmbeddedQuery:
            png = io.BytesIO()
            small = self._decoders.decode_one(data, target=_part(part, SENT_SIDE)).image
            small.save(png, "PNG", compress_level=3)
            embedded = self._embed(png.getvalue(), spec=generation.embedder, seconds=self._seconds)
            check_fingerprint(generation, embedded.fingerprint)
            return embedded

        return _embed_image(embed_part, box)

    def check(self, generation: Generation) -> None:
        check_fingerprint(generation, self._embed_sample(generation.embedder).fingerprint)

    def identify(self, spec: str) -> EmbedderIdentity:
        found = self._embed_sample(spec)
        return EmbedderIdentity(spec=spec, fingerprint=found.fingerprint, size=len(found.vector))

    def _embed_sample(self, spec: str) -> EmbeddedQuery:
        return self._embed(sample_image(), spec=spec, seconds=self._seconds)


def _embed_image(embed_part: EmbedPart, box: Box | None) -> EmbeddedQuery:
    """Embed an image, or its box; an image that is pasted together by its first region.

    The region is compared as it is: what is pasted is no photograph of its class.
    """
    found = embed_part(box)
    if box is not None or not found.composed or not found.regions:
        return found
    frame = found.regions[0].box
    try:
        part = embed_part(Box(*frame))
    except ImageError:  # such as a region of too few pixels
        return found
    vector = part.vector if part.own is None else part.own
    return found._replace(vector=vector, compared=frame)


def _part(box: Box | None, size: Size | int) -> Target:
    return size if box is None else Region(box, size)


def _embed(embedder: Embedder, image: Image.Image) -> EmbeddedQuery:
    """Embed one image. Raises EmbedderFailed if the embedder fails for any other image, too."""
    try:
        if isinstance(embedder, TellsPhotographs):
            found = embedder.embed_query(image)
            told = found.kind, found.regions, found.own, found.composed
            return EmbeddedQuery(found.vector, embedder.fingerprint, *told)
        return EmbeddedQuery(embedder.embed([image])[0], embedder.fingerprint)
    except Exception:
        check_works(embedder)
        raise


def sample_image() -> bytes:
    """Return the file of a small grey image, to check whether an encoder answers."""
    png = io.BytesIO()
    Image.new("RGB", (64, 64), "grey").save(png, "PNG")
    return png.getvalue()
