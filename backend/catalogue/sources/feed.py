"""What every source yields: rows and rejects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True)
class ImageFile:
    """An image that a source has found: its size and time are known, its bytes are not yet read."""

    uri: str | None  # where it can stay; None: it must be copied out of the source
    size: int  # bytes
    mtime_ns: int
    read: Callable[[int], bytes]
    """Takes the largest number of bytes allowed; raises an ImageError."""


@dataclass(frozen=True, kw_only=True)
class FeedRow:
    """One product of a feed, with fields for `products.parse`."""

    line: int  # in the file, from 1
    sku: str
    fields: Mapping[str, Any]
    image: ImageFile | None = None  # None: there is none, or `fields` hold a remote image_uri
    warnings: tuple[str, ...] = ()  # what was corrected or left out


@dataclass(frozen=True)
class Remark:
    """What is wrong in one line of the feed."""

    line: int
    sku: str | None
    reason: str


class Reject(Remark):
    """A line that gives no product."""


class Source(Protocol):
    """One feed, open for reading; it can be read more than once."""

    def skus(self) -> Iterator[tuple[int, str]]:
        """Yield line and sku of every row, in order; does not look at images, so it is fast."""
        ...

    def read(self) -> Iterator[FeedRow | Reject]:
        """Yield every row, in order."""
        ...

    def close(self) -> None:
        """Close the files behind it."""
        ...
