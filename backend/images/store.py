"""Images by the digest of their bytes, under one fsspec URL."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import fsspec

from backend.errors import ConfigurationError, ImageUnavailable, NoImage
from backend.files import replace_file

SCHEME: Final = "store"
"""The scheme of the URIs that point into the store: store://<digest>."""


def digest_of(data: bytes) -> str:
    """Return the digest that names an image: sha256, in hex."""
    return hashlib.sha256(data).hexdigest()


class ImageStore:
    """Keeps images under `<url>/<first two digits>/<digest>`. Safe to share between threads.

    Storing is idempotent and atomic: what `exists` is whole. One level of folders (256) holds
    millions of images; two levels would give a small catalogue a folder for every image.
    Connects when first used, so that it can be made before a fork.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def put(self, data: bytes) -> str:
        """Store an image unless it is there already, and return its digest.

        Raises ImageUnavailable when the store cannot be reached or is full.
        """
        digest = digest_of(data)
        with _reaching():
            if self._find(digest) != len(data):  # a power loss can leave a file cut short
                self._write(digest, data)
        return digest

    @contextmanager
    def open(self, digest: str) -> Iterator[BinaryIO]:
        """Open an image for reading. Raises NoImage, or ImageUnavailable for a store out of reach.

        What is read inside the `with` raises the same.
        """
        with _reaching():
            try:
                file = cast("BinaryIO", self._fs.open(self._place(digest), "rb"))
            except FileNotFoundError:
                raise NoImage(f"the image store does not hold {digest}") from None
            with file:
                yield file

    def read(self, digest: str) -> bytes:
        """Return an image's bytes; raises as `open` does."""
        with self.open(digest) as file:
            return file.read()

    def exists(self, digest: str) -> bool:
        """Tell whether the store holds an image."""
        return self.size(digest) is not None

    def size(self, digest: str) -> int | None:
        """Return how many bytes an image has, None for one that the store does not hold."""
        with _reaching():
            return self._find(digest)

    def uri(self, digest: str) -> str:
        """Return the URI under which a product refers to an image in the store."""
        return f"{SCHEME}://{digest}"

    def path(self, digest: str) -> Path | None:
        """Return where an image lies on disk; None if the store is not a local folder."""
        return Path(self._place(digest)) if self.is_local else None

    @property
    def is_local(self) -> bool:
        """Whether the store is a folder of this host."""
        return "file" in self._fs.protocol

    @cached_property
    def _located(self) -> tuple[Any, str]:
        try:
            filesystem, root = fsspec.core.url_to_fs(self.url)
        except (ValueError, ImportError) as error:
            raise ConfigurationError(f"the image store {self.url!r}: {error}") from None
        return filesystem, root.rstrip("/")

    @property
    def _fs(self) -> Any:
        return self._located[0]

    def _place(self, digest: str) -> str:
        return f"{self._located[1]}/{digest[:2]}/{digest}"

    def _find(self, digest: str) -> int | None:
        try:
            return cast("int", self._fs.size(self._place(digest)))
        except FileNotFoundError:
            return None

    def _write(self, digest: str, data: bytes) -> None:
        path = self.path(digest)
        if path is None:
            self._fs.pipe_file(self._place(digest), data)  # object stores replace as a whole
        else:
            # Not flushed, which would make an import slow: `put` writes again what was cut short.
            # The mode lets workers of another user read it, whatever the umask is.
            replace_file(
                path, lambda draft: draft.write_bytes(data), mode=0o644, unique=True, flush=False
            )


@contextmanager
def _reaching() -> Iterator[None]:
    """Raise ImageUnavailable for what fsspec and the SDK beneath it raise."""
    try:
        yield
    except _store_errors() as error:
        raise ImageUnavailable(f"the image store failed: {error}") from error


def _store_errors() -> tuple[type[Exception], ...]:
    """Return what a store out of reach raises; s3fs lets botocore's own errors through."""
    botocore = sys.modules.get("botocore.exceptions")
    return (OSError, botocore.BotoCoreError) if botocore else (OSError,)
