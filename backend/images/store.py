"""Images by the digest of their bytes, under one fsspec URL."""

from __future__ import annotations

import errno
import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import fsspec

from backend.errors import ConfigurationError, DiskFull, ImageUnavailable, NoImage
from backend.files import replace_file

SCHEME: Final = "store"
"""The scheme of the URIs that point into the store: store://<digest>."""


def digest_of(data: bytes) -> str:
    """Return the digest that names an image: sha256, in hex."""
    return hashlib.sha256(data).hexdigest()


class ImageStore:
    """Keeps images under `<url>/<first two digits>/<digest>`. Safe to share between threads.

    Storing is idempotent and atomic: an image that `exists` is complete. One level of 256 folders
    is enough for millions of images; with two levels, a small catalogue would have a folder for
    each image. Connects when first used, so that it can be made before a fork.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def put(self, data: bytes) -> str:
        """Store an image unless it is there already, and return its digest.

        Raises ImageUnavailable when the store cannot be reached, DiskFull when it is full.
        """
        digest = digest_of(data)
        with _store_errors_translated():
            if self._find(digest) != len(data):  # a power cut can leave a file incomplete
                self._write(digest, data)
        return digest

    @contextmanager
    def open(self, digest: str) -> Iterator[BinaryIO]:
        """Open an image for reading. Raises NoImage, and ImageUnavailable if the store fails.

        Reading inside of the `with` raises the same.
        """
        with _store_errors_translated():
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
        """Return the number of bytes of an image, None if the store does not hold it."""
        with _store_errors_translated():
            return self._find(digest)

    def uri(self, digest: str) -> str:
        """Return the URI under which a product refers to an image in the store."""
        return f"{SCHEME}://{digest}"

    def path(self, digest: str) -> Path | None:
        """Return the path of an image on disk, None if the store is not a local folder."""
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
            self._fs.pipe_file(self._place(digest), data)  # object stores replace atomically
        else:
            # Not flushed, which would make an import slow: `put` replaces an incomplete file.
            # The mode lets workers of another user read it, whatever the umask is.
            replace_file(
                path, lambda draft: draft.write_bytes(data), mode=0o644, unique=True, flush=False
            )


@contextmanager
def _store_errors_translated() -> Iterator[None]:
    """Raise ImageUnavailable, or DiskFull, for the errors of fsspec and of the SDK below it."""
    try:
        yield
    except _store_errors() as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"the image store has no room: {error}") from error
        raise ImageUnavailable(f"the image store failed: {error}") from error


def _store_errors() -> tuple[type[Exception], ...]:
    """Return the errors of a store that cannot be reached; s3fs does not translate botocore's."""
    botocore = sys.modules.get("botocore.exceptions")
    return (OSError, botocore.BotoCoreError) if botocore else (OSError,)
