"""Images by the digest of their bytes, under one fsspec URL."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import fsspec

from backend.errors import ConfigurationError, DiskFull, ImageUnavailable, MissingImage
from backend.files import replace_file
from backend.outages import Outages

NEW_FOR: Final = timedelta(minutes=15)
"""An image that is put again within this time keeps its time."""

PARTS: Final = tuple(f"{number:02x}" for number in range(256))
"""The folders of a store, and the first two digits of the digests in each."""

_DIGEST: Final = re.compile("[0-9a-f]{64}")
_ASIDE: Final = re.compile(r"\.[0-9a-f]{64}\.gone")

CONNECT_SECONDS: Final = 2
READ_SECONDS: Final = 5
ATTEMPTS: Final = 2
"""Of a bucket: time limits of a connection and of a silence, and tries of one request."""

STORE: Final = "the image store"
TOLERATED: Final = 2
FIRST_SECONDS: Final = 0.5
LONGEST_SECONDS: Final = 1.0
"""A bucket that failed so many times in a row and once more is not asked: calls fail at once, and
one at a time tries, with these seconds between two."""

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
        self._outages = Outages(first_seconds=FIRST_SECONDS, longest_seconds=LONGEST_SECONDS)

    def put(self, data: bytes) -> str:
        """Store an image unless it is there already, and return its digest.

        One that is there counts as new again, so that `delete_unless` keeps it until a row names
        it. Raises ImageUnavailable when the store cannot be reached, DiskFull when it is full.
        """
        digest = digest_of(data)
        with self._guarded():
            if not self._renew(digest, len(data)):
                self._write(digest, data)
        return digest

    def listed(self, part: str) -> dict[str, int]:
        """Return {digest: bytes} of the images whose digests begin with `part`, two digits."""
        with self._guarded():
            try:
                found = self._fs.ls(f"{self._located[1]}/{part}", detail=True, refresh=True)
            except FileNotFoundError:
                return {}
        names = {entry["name"].rstrip("/").rpartition("/")[2]: entry["size"] for entry in found}
        for name in filter(_ASIDE.fullmatch, names):
            self._put_back(name[1:65])
        return {name: size for name, size in names.items() if _DIGEST.fullmatch(name)}

    def delete(self, digest: str) -> int | None:
        """Delete an image at once; return its bytes, None if it was not there."""
        with self._guarded():
            size = self._find(digest)
            if size is not None:
                with suppress(FileNotFoundError):
                    self._fs.rm_file(self._place(digest))
            return size

    def delete_unless(
        self, digest: str, is_named: Callable[[], bool], *, stored_after: datetime
    ) -> bool:
        """Delete an image, unless it was put again since a time, or `is_named`; tell whether.

        In a folder it is first moved aside and then checked. A `put` at the same time either came
        before, and the check sees its new time; or it finds no file, and writes the image again. An
        object store cannot do that: there, a `put` in the instant between look and deletion loses
        the image.
        """
        path = self.path(digest)
        with self._guarded():
            if path is None:
                modified = self._modified(digest)
                keep = modified is None or modified > stored_after or is_named()
                return not keep and self.delete(digest) is not None
            aside = _aside(path)
            try:
                path.rename(aside)
                keep = _put_at(aside.stat()) > stored_after.timestamp() or is_named()
            except FileNotFoundError:
                return False
            except BaseException:
                self._put_back(digest)
                raise
            if keep:
                self._put_back(digest)
            else:
                aside.unlink(missing_ok=True)
            return not keep

    @contextmanager
    def open(self, digest: str) -> Iterator[BinaryIO]:
        """Open an image for reading. Raises MissingImage, and ImageUnavailable if the store fails.

        Reading inside of the `with` raises the same.
        """
        with self._guarded():
            try:
                file = cast("BinaryIO", self._fs.open(self._place(digest), "rb"))
            except FileNotFoundError:
                raise MissingImage(f"the image store does not hold {digest}") from None
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
        with self._guarded():
            return self._find(digest)

    def uri(self, digest: str) -> str:
        """Return the URI under which a product refers to an image in the store."""
        return f"{SCHEME}://{digest}"

    def path(self, digest: str) -> Path | None:
        """Return the path of an image on disk, None if the store is not a local folder."""
        return Path(self._place(digest)) if self.is_local else None

    def problem(self) -> str | None:
        """Return why a bucket is not asked now, None where it is."""
        return self._outages.reason(STORE)

    @property
    def is_local(self) -> bool:
        """Whether the store is a folder of this host."""
        return "file" in self._fs.protocol

    @cached_property
    def _located(self) -> tuple[Any, str]:
        try:
            filesystem, root = fsspec.core.url_to_fs(self.url, **_options(self.url))
        except (ValueError, ImportError) as error:
            raise ConfigurationError(f"the image store {self.url!r}: {error}") from None
        if hasattr(filesystem, "retries"):  # s3fs' own, around those of botocore
            filesystem.retries = 1
        return filesystem, root.rstrip("/")

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Translate the store's errors; refuse at once while a bucket does not answer."""
        if self.is_local:
            with _store_errors_translated():
                yield
            return
        if not self._outages.may_try(STORE):
            raise ImageUnavailable(f"the image store is not asked for a moment: {self.problem()}")
        try:
            with _store_errors_translated():
                yield
        except ImageUnavailable as error:
            self._outages.fail(STORE, error.message, tolerated=TOLERATED)
            raise
        except MissingImage:
            self._outages.work(STORE)
            raise
        self._outages.work(STORE)

    @property
    def _fs(self) -> Any:
        return self._located[0]

    def _place(self, digest: str) -> str:
        return f"{self._located[1]}/{digest[:2]}/{digest}"

    def _renew(self, digest: str, size: int) -> bool:
        """Tell whether a whole image is there; if so, note that it was put again now.

        In a folder the time of the last reading notes it, so that a file keeps its own time.
        """
        path = self.path(digest)
        if path is None:
            modified = self._modified(digest) if self._find(digest) == size else None
            return modified is not None and modified > datetime.now(UTC) - NEW_FOR
        try:
            status = path.stat()
            if status.st_size != size:  # a power cut can leave a file incomplete
                return False
            if _put_at(status) < time.time() - NEW_FOR.total_seconds():
                os.utime(path, ns=(time.time_ns(), status.st_mtime_ns))
        except (FileNotFoundError, PermissionError):  # a file of another user is written again
            return False
        return True

    def _modified(self, digest: str) -> datetime | None:
        """Return when an object was written; None if it is not there, or its store does not say."""
        try:
            found: datetime = self._fs.modified(self._place(digest))
        except (FileNotFoundError, NotImplementedError):
            return None
        return found if found.tzinfo else found.replace(tzinfo=UTC)

    def _put_back(self, digest: str) -> None:
        """Undo a deletion that was not finished, also one of a process that died."""
        path = self.path(digest)
        if path is not None:
            with suppress(FileNotFoundError):
                _aside(path).rename(path)

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


def _options(url: str) -> dict[str, Any]:
    """Return what fsspec is told beside the address: time limits, since s3fs has minutes."""
    if not url.startswith(("s3:", "s3a:")):
        return {}
    limits = {"connect_timeout": CONNECT_SECONDS, "read_timeout": READ_SECONDS}
    return {"config_kwargs": limits | {"retries": {"total_max_attempts": ATTEMPTS}}}


def _put_at(status: os.stat_result) -> float:
    """Return when a file was put last; it may be later, where something has read the file."""
    return max(status.st_atime, status.st_mtime)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.gone")


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
    """Return the errors of a store that cannot be reached, or whose answer was cut off.

    s3fs translates neither botocore's errors nor those of the HTTP client below it.
    """
    found: list[type[Exception]] = [OSError]
    for module, name in (("botocore.exceptions", "BotoCoreError"), ("aiohttp", "ClientError")):
        if module in sys.modules:
            found.append(getattr(sys.modules[module], name))
    return tuple(found)
