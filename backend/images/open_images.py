"""Open a product's image from where its URI says: a file, the image store, or an allowed host."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeAlias

from backend.errors import ImageError, NoImage
from backend.images.addresses import host_of
from backend.images.decode import Size
from backend.images.decoder_pool import Decoded, DecoderPool, ImageFile
from backend.images.guard import guarded
from backend.images.limits import ImageLimits
from backend.images.local_files import is_remote, local_path, read_file
from backend.images.store import SCHEME, ImageStore
from backend.outages import Outages

FETCHERS: Final = 8
"""Threads that fetch remote images of one batch."""

IN_FLIGHT: Final = 2 * FETCHERS
"""Images that are being fetched, or wait in memory for those before them."""

AHEAD: Final = 256
"""Images that are decoded ahead of the caller: as many as one call on a large GPU takes."""

STORE: Final = "image store"
"""The name of an outage of the store."""

Fetch: TypeAlias = Callable[[str], bytes]
"""Fetches a remote image, within limits; raises ImageError."""


class ImageOpener:
    """Opens products' images by their URIs, in decoder processes."""

    def __init__(
        self,
        store: ImageStore,
        decoders: DecoderPool,
        *,
        fetch: Fetch,
        outages: Outages | None = None,
    ) -> None:
        self._store = store
        self._decoders = decoders
        self._fetch = fetch
        self._outages = outages or Outages()

    def by(self, decoders: DecoderPool) -> ImageOpener:
        """Return an opener of the same images, decoded by another pool."""
        return ImageOpener(self._store, decoders, fetch=self._fetch, outages=self._outages)

    def open(
        self,
        uris: Sequence[str | None],
        target: Size,
        *,
        heartbeat: Callable[[], None] = lambda: None,
    ) -> Iterator[Decoded | ImageError]:
        """Yield each image, upright RGB of `target` (height, width), or its error, in order.

        Images are read and decoded ahead while the caller works, only a few of them over the
        network. `heartbeat` is called whenever one has been read, which may be long before it is
        yielded.
        """
        errors: dict[int, ImageError] = {}

        def readable() -> Iterator[ImageFile]:
            for position, source in enumerate(self._sources(uris)):
                heartbeat()
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
            waiting: deque[Future[ImageFile | ImageError]] = deque()
            try:
                for uri in uris:
                    waiting.append(threads.submit(self._source, uri))
                    if len(waiting) >= IN_FLIGHT:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

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
            path = self._store.path(digest)
            return path or guarded(self._outages, STORE, lambda: self._store.read(digest))
        if not is_remote(uri):
            return local_path(uri)
        return guarded(self._outages, host_of(uri), lambda: self._fetch(uri))

    def is_doubtful(self, uri: str | None) -> bool:
        """Tell whether what holds an image has not answered lately, so that it may keep others."""
        if uri is None or not self._is_on_network(uri):
            return False
        what = STORE if uri.startswith(f"{SCHEME}://") else host_of(uri)
        return self._outages.reason(what) is not None
