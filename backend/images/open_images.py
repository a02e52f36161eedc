"""Open a product's image from where its URI says: a file, the image store, or an allowed host."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeAlias

from backend.errors import ImageError, NoImage
from backend.images.decode import Size
from backend.images.decoder_pool import Decoded, DecoderPool, ImageFile
from backend.images.limits import ImageLimits
from backend.images.local_files import is_remote, local_path, read_file
from backend.images.store import SCHEME, ImageStore

FETCHERS: Final = 8
"""Threads that fetch remote images of one batch."""

AHEAD: Final = 256
"""Images that are decoded ahead of the caller: as many as one call on a large GPU takes."""

Fetch: TypeAlias = Callable[[str], bytes]
"""Fetches a remote image, within limits; raises ImageError."""


class ImageOpener:
    """Opens products' images by their URIs, in decoder processes."""

    def __init__(self, store: ImageStore, decoders: DecoderPool, *, fetch: Fetch) -> None:
        self._store = store
        self._decoders = decoders
        self._fetch = fetch

    def by(self, decoders: DecoderPool) -> ImageOpener:
        """Return an opener of the same images, decoded by another pool."""
        return ImageOpener(self._store, decoders, fetch=self._fetch)

    def open(self, uris: Sequence[str | None], target: Size) -> Iterator[Decoded | ImageError]:
        """Yield each image, upright RGB of `target` (height, width), or its error, in order.

        Images are read and decoded ahead while the caller works.
        """
        errors: dict[int, ImageError] = {}

        def readable() -> Iterator[ImageFile]:
            for position, source in enumerate(self._sources(uris)):
                if isinstance(source, ImageError):
                    errors[position] = source
                else:
                    yield source

        position = 0
        for decoded in self._decoders.decode_all(readable(), target=target, window=AHEAD):
            while position in errors:  # already there, because images are read in order
                yield errors.pop(position)
                position += 1
            yield decoded
            position += 1
        yield from (errors[position] for position in sorted(errors))

    def read(self, uri: str | None, *, limits: ImageLimits) -> bytes:
        """Return the bytes of an image's file, which may be damaged. Raises ImageError."""
        source = self._source(uri)
        if isinstance(source, ImageError):
            raise source
        return source if isinstance(source, bytes) else read_file(source, limits=limits)

    def _sources(self, uris: Sequence[str | None]) -> Iterator[ImageFile | ImageError]:
        if not any(uri and self._is_on_network(uri) for uri in uris):
            yield from map(self._source, uris)
            return
        with ThreadPoolExecutor(FETCHERS, thread_name_prefix="fetch") as threads:
            yield from threads.map(self._source, uris)

    def _is_on_network(self, uri: str) -> bool:
        """Tell whether reading takes a round trip over the network."""
        if uri.startswith(f"{SCHEME}://"):
            return not self._store.is_local
        return is_remote(uri)

    def _source(self, uri: str | None) -> ImageFile | ImageError:
        try:
            return self.source(uri)
        except ImageError as error:
            return error

    def source(self, uri: str | None) -> ImageFile:
        """Return an image's bytes, or a path that a decoder can read. Raises ImageError."""
        if uri is None:
            raise NoImage("the product has no image")
        if uri.startswith(f"{SCHEME}://"):
            digest = uri.removeprefix(f"{SCHEME}://")
            return self._store.path(digest) or self._store.read(digest)
        return self._fetch(uri) if is_remote(uri) else local_path(uri)
