"""From the address of a feed to a file: by the rules for images, and redirects followed."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse, IncompleteRead
from pathlib import Path
from time import monotonic
from typing import Any, Final
from urllib.parse import SplitResult, urljoin

from backend import __version__
from backend.catalogue.import_run import Transfer
from backend.catalogue.sources.packing import Packing, gunzip
from backend.errors import FeedUnavailable, ForbiddenFeed, ForbiddenImage, ImageUnavailable
from backend.feeds.feeds import check_address
from backend.images.fetch import GONE, TRANSIENT, open_http
from backend.images.public_addresses import Address, is_public

CHUNK: Final = 1 << 16
MOST_REDIRECTS: Final = 5
REDIRECTS: Final = {301, 302, 303, 307, 308}
PACKED: Final = {"gzip", "x-gzip"}
ENDED_EARLY: Final = "the connection ended before the feed did"


@dataclass(frozen=True, kw_only=True)
class FeedLimits:
    """How large a feed may be, also when it is unpacked, and how long fetching it may take."""

    max_bytes: int
    seconds: float


@dataclass(kw_only=True)
class Download:
    """A feed that was fetched to a file, or the part of it that came."""

    path: Path
    seen: dict[str, Any]  # tells the host next time which version we have
    bytes: int = 0
    transfer: Transfer = field(default_factory=Transfer)


def fetch_feed(
    uri: str,
    path: Path,
    *,
    hosts: Collection[str],
    limits: FeedLimits,
    seen: Mapping[str, Any] | None,
    progress: Callable[[int, int | None], None],
    may_connect: Callable[[Address], bool] = is_public,
) -> Download | None:
    """Fetch a feed to `path`; None if it has not changed since `seen`.

    What ends early or takes too long is kept as far as it came, and `transfer` says so. Raises
    ForbiddenFeed, and FeedUnavailable where trying again may help; no message holds the address.
    """
    ends = monotonic() + limits.seconds
    for _ in range(MOST_REDIRECTS + 1):
        download = Download(path=path, seen={})
        with _as_of_a_feed(download):
            parts = check_address(uri, hosts)
            with open_http(
                parts,
                headers=_headers(seen),
                seconds=max(ends - monotonic(), 0.001),
                may_connect=may_connect,
            ) as response:
                if response.status in REDIRECTS:
                    uri = _target(uri, response)
                    continue
                if response.status == 304 and seen:
                    return None
                _check_status(response, parts)
                _store(response, download, max_bytes=limits.max_bytes, progress=progress)
        return download
    raise ForbiddenFeed(f"the feed is redirected more than {MOST_REDIRECTS} times")


@contextmanager
def _as_of_a_feed(download: Download) -> Iterator[None]:
    """Turn errors of images into those of feeds; one after the first bytes ends the transfer."""
    try:
        yield
    except ForbiddenImage as error:
        raise ForbiddenFeed(error.message) from None
    except ImageUnavailable as error:
        if not download.bytes:
            raise FeedUnavailable(error.message) from None
        download.transfer = Transfer(ended_early=error.message)


def _headers(seen: Mapping[str, Any] | None) -> dict[str, str]:
    found = {"Accept": "*/*", "User-Agent": "lookalike", "Accept-Encoding": "gzip"}
    for member, header in (("etag", "If-None-Match"), ("modified", "If-Modified-Since")):
        if seen and seen.get(member):
            found[header] = str(seen[member])
    return found


def _target(uri: str, response: HTTPResponse) -> str:
    """Return where a redirect leads. From https it may not lead to http."""
    target = urljoin(uri, response.headers.get("Location") or "")
    if uri.startswith("https:") and not target.startswith("https:"):
        raise ForbiddenFeed("the feed is redirected from https:// to an address that is not https")
    return target


def _check_status(response: HTTPResponse, parts: SplitResult) -> None:
    status, host = response.status, parts.hostname
    if status == 200:
        return
    if status in TRANSIENT or status in GONE or status >= 500:
        asked = _retry_after(response)
        said = f"{host} answered with status {status}"
        if asked is None:
            raise FeedUnavailable(said)
        raise FeedUnavailable(f"{said}, and asks to wait {asked} s", retry_after=asked)
    raise ForbiddenFeed(f"{host} refuses the feed (status {status})")


def _retry_after(response: HTTPResponse) -> int | None:
    """Return the seconds that a host asks to wait; its date is compared with its own clock."""
    text = (response.headers.get("Retry-After") or "").strip()
    if re.fullmatch("[0-9]{1,9}", text):
        return int(text)
    try:
        until = parsedate_to_datetime(text)
        now = parsedate_to_datetime(response.headers.get("Date") or "")
        return max(0, int((until - now).total_seconds()))
    except (ValueError, TypeError, OverflowError):
        return None


def _store(
    response: HTTPResponse,
    download: Download,
    *,
    max_bytes: int,
    progress: Callable[[int, int | None], None],
) -> None:
    """Write the body to the file, unpacked if it was packed for the transfer alone."""
    length, received = response.length, 0
    packing = Packing()
    unpack = gunzip(packing) if _is_packed(response) else None
    with _writing(download.path) as write:
        for chunk in _chunks(response, download):
            received += len(chunk)
            try:
                download.bytes += write(unpack(chunk, not chunk) if unpack else chunk)
            except zlib.error as error:
                raise FeedUnavailable(f"the feed is damaged: {error}") from None
            if max(download.bytes, received) > max_bytes:
                raise ForbiddenFeed(f"the feed has more than {max_bytes:,} bytes")
            progress(received, length)
    if packing.ended_early and not download.transfer.ended_early:
        download.transfer = Transfer(ended_early=packing.ended_early)
    if not download.transfer.ended_early:
        download.transfer = Transfer(is_proven=length is not None or packing.is_proven)
        download.seen = _validators(response)


@contextmanager
def _writing(path: Path) -> Iterator[Callable[[bytes], int]]:
    """Yield what writes to a file; a full disk must not look like a fault of the connection."""

    def write(data: bytes) -> int:
        try:
            return file.write(data)
        except OSError as error:
            raise FeedUnavailable(f"the feed cannot be stored: {error.strerror}") from None

    with path.open("wb", buffering=0) as file:
        yield write


def _chunks(response: HTTPResponse, download: Download) -> Iterator[bytes]:
    """Yield the body as it comes, and an empty chunk at its end; note if it ended early.

    `read` would wait until a chunk is full, and take a cut connection for the end of the data.
    """
    left = response.length
    while left is None or left > 0:
        try:
            chunk = response.read1(CHUNK if left is None else min(CHUNK, left))
        except (OSError, HTTPException) as error:
            broken = f"the connection broke: {error!r}"
            is_end = isinstance(error, IncompleteRead)
            download.transfer = Transfer(ended_early=ENDED_EARLY if is_end else broken)
            break
        if not chunk:
            break
        left = None if left is None else left - len(chunk)
        yield chunk
    if left and not download.transfer.ended_early:
        download.transfer = Transfer(ended_early=ENDED_EARLY)
    yield b""


def _is_packed(response: HTTPResponse) -> bool:
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {*PACKED, "identity", ""}:
        raise ForbiddenFeed(f"the host sends the encoding {encoding!r}, which was not asked for")
    return encoding in PACKED


def _validators(response: HTTPResponse) -> dict[str, Any]:
    """Return what names this version of the feed; nothing if the host names none."""
    found = {"etag": response.headers["ETag"], "modified": response.headers["Last-Modified"]}
    given = {name: value for name, value in found.items() if value}
    return given | {"release": __version__} if given else {}
