"""What every source gives: rows and rejects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True)
class ImageFile:
    """An image as a source found it: measured, not yet read."""

    uri: str | None  # where it can stay; None: it has to be copied out of the source
    size: int  # bytes
    mtime_ns: int
    read: Callable[[int], bytes]
    """Takes the most bytes to read; raises an ImageError."""


@dataclass(frozen=True, kw_only=True)
class FeedRow:
    """One product as the shop's file has it, with fields for `products.parse`."""

    line: int  # in the file, from 1
    sku: str
    fields: Mapping[str, Any]
    image: ImageFile | None = None  # None: there is none, or `fields` hold a remote image_uri
    warnings: tuple[str, ...] = ()  # what was mended or left out


@dataclass(frozen=True)
class Remark:
    """What was found wrong in one line of the file."""

    line: int
    sku: str | None
    reason: str


class Reject(Remark):
    """A line that gives no product."""


class Source(Protocol):
    """One catalogue, open for reading; it can be read more than once."""

    def skus(self) -> Iterator[tuple[int, str]]:
        """Yield line and sku of every row, in order, without looking at images: the cheap pass."""
        ...

    def read(self) -> Iterator[FeedRow | Reject]:
        """Yield every row, in order."""
        ...

    def close(self) -> None:
        """Close the files behind it."""
        ...
