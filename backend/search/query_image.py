"""A shopper's image -> query vector, by a network in this process or in a worker."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, NamedTuple, Protocol, TypeAlias

import numpy as np
from PIL import Image

from backend.database.models import Generation
from backend.embedders import Embedder, TellsPhotographs
from backend.embedders.control import check_works
from backend.embedders.loaded import LoadedEmbedders
from backend.embedders.pixels import normalise
from backend.embedders.regions import FoundRegion, Frame
from backend.errors import ImageError
from backend.generations import EmbedderIdentity, check_fingerprint
from backend.images.box import Box
from backend.images.decode import Size
from backend.images.decoder_pool import DecoderPool, Region
from backend.images.on_white import lay_on_white
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
    mask: Vector | None = None  # (rows, columns), logits: whether a point belongs to the thing
    doubtful: bool = False  # composed, if that is said of its first region and what is around it


Embed: TypeAlias = Callable[[Image.Image], EmbeddedQuery]
"""Embeds one image, here or in a worker."""

WHOLE: Final = Box(0, 0, 1, 1)
"""A box that covers all of an image."""

WIDER: Final = 0.12
"""How much wider a region is made at each side, as a share of it, to see the thing's ground."""

CUT_SIDE: Final = 384
"""The longer side, in pixels, of a region whose thing is cut out."""


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
        """As in `QueryEncoder`: (size,) float32 of length 1."""
        return self.embed_image(generation, data, box).vector

    def embed_image(
        self, generation: Generation, data: bytes, box: Box | None = None
    ) -> EmbeddedQuery:
        """As in `QueryEncoder`, in this process."""
        embedder = self._embedders.of(generation)
        check_fingerprint(generation, embedder.fingerprint)
        parts = _FileParts(self._decoders, data, embedder.input_size)
        return embed_image(parts, partial(_embed, embedder), box)

    def check(self, generation: Generation) -> None:
        """As in `QueryEncoder`."""
        self.encode(generation, sample_image())

    def identify(self, spec: str) -> EmbedderIdentity:
        """As in `QueryEncoder`."""
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
        """As in `QueryEncoder`: (size,) float32 of length 1."""
        return self.embed_image(generation, data, box).vector

    def embed_image(
        self, generation: Generation, data: bytes, box: Box | None = None
    ) -> EmbeddedQuery:
        """As in `QueryEncoder`; the image is checked here and sent as a small PNG."""

        def embed(image: Image.Image) -> EmbeddedQuery:
            png = io.BytesIO()
            image.save(png, "PNG", compress_level=3)
            embedded = self._embed(png.getvalue(), spec=generation.embedder, seconds=self._seconds)
            check_fingerprint(generation, embedded.fingerprint)
            return embedded

        return embed_image(_FileParts(self._decoders, data, SENT_SIDE), embed, box)

    def check(self, generation: Generation) -> None:
        """As in `QueryEncoder`."""
        check_fingerprint(generation, self._embed_sample(generation.embedder).fingerprint)

    def identify(self, spec: str) -> EmbedderIdentity:
        """As in `QueryEncoder`."""
        found = self._embed_sample(spec)
        return EmbedderIdentity(spec=spec, fingerprint=found.fingerprint, size=len(found.vector))

    def _embed_sample(self, spec: str) -> EmbeddedQuery:
        return self._embed(sample_image(), spec=spec, seconds=self._seconds)


class Parts(Protocol):
    """The parts of one image."""

    def open(self, box: Box | None, size: Size | int | None = None) -> Image.Image:
        """Return a part in a size, that of the embedder if there is none; None: the whole.

        Raises ImageError.
        """
        ...


class _FileParts:
    """The parts of one untrusted image file."""

    def __init__(self, decoders: DecoderPool, data: bytes, size: Size | int) -> None:
        self._decoders, self._data, self._size = decoders, data, size

    def open(self, box: Box | None, size: Size | int | None = None) -> Image.Image:
        size = size or self._size
        target = size if box is None else Region(box, size)
        return self._decoders.decode_one(self._data, target=target).image


def embed_image(parts: Parts, embed: Embed, box: Box | None) -> EmbeddedQuery:
    """Embed an image, or its box.

    Where something was pasted on it, that is compared: it lies in the box, or in the first region.
    It is compared as it is, since what is pasted is no photograph of its class. Where it is in
    doubt whether anything was pasted, a wider part than the first region decides. A box that covers
    all of the image asks for the image as a whole.
    """
    found = embed(parts.open(box))
    if box == WHOLE or not (found.composed or (found.doubtful and box is None)):
        return found
    try:
        return _embed_box(parts, embed, found, box) if box else _embed_region(parts, embed, found)
    except ImageError:  # such as a region of too few pixels
        return found


def _embed_box(parts: Parts, embed: Embed, found: EmbeddedQuery, box: Box) -> EmbeddedQuery:
    """Compare what was pasted in a box."""
    wider = embed(parts.open(_wider(box)))
    return found._replace(vector=_with_white(found, wider, embed, parts, box))


def _embed_region(parts: Parts, embed: Embed, found: EmbeddedQuery) -> EmbeddedQuery:
    """Compare an image by its first region, if it has one and something was pasted there."""
    if not found.regions:
        return found
    frame = found.regions[0].box
    box = Box(*frame)
    wider = embed(parts.open(_wider(box)))
    if not (found.composed or wider.composed):
        surest_first = sorted(found.regions, key=lambda each: each.confidence, reverse=True)
        return found._replace(regions=surest_first)
    region = embed(parts.open(box))
    return found._replace(vector=_with_white(region, wider, embed, parts, box), compared=frame)


def _with_white(
    region: EmbeddedQuery, wider: EmbeddedQuery, embed: Embed, parts: Parts, box: Box
) -> Vector:
    """Return the mean of the vectors of a region, and of its thing laid on white, twice.

    The second time its mask is that of a wider region, where more of the ground is seen.
    """
    if region.mask is None or wider.mask is None:  # it is the answer of an earlier release
        return _own(region)
    cut = [
        lay_on_white(parts.open(part, CUT_SIDE), mask)
        for part, mask in ((box, region.mask), (_wider(box), wider.mask))
    ]
    vectors = [_own(region), *(_own(embed(each)) for each in cut)]
    return np.asarray(normalise(np.sum(vectors, axis=0)[None])[0], np.float32)


def _wider(box: Box) -> Box:
    return replace(box, around=WIDER)


def _own(found: EmbeddedQuery) -> Vector:
    return found.vector if found.own is None else found.own


def _embed(embedder: Embedder, image: Image.Image) -> EmbeddedQuery:
    """Embed one image. Raises EmbedderFailed if the embedder fails for any other image, too."""
    try:
        if isinstance(embedder, TellsPhotographs):
            found = embedder.embed_query(image)
            told = found._asdict()
            return EmbeddedQuery(fingerprint=embedder.fingerprint, **told)
        return EmbeddedQuery(embedder.embed([image])[0], embedder.fingerprint)
    except Exception:
        check_works(embedder)
        raise


def sample_image() -> bytes:
    """Return the file of a small grey image, to check whether an encoder answers."""
    png = io.BytesIO()
    Image.new("RGB", (64, 64), "grey").save(png, "PNG")
    return png.getvalue()
