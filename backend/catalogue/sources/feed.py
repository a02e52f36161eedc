"""What every source yields: rows and rejects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, Self


class WarningKind(StrEnum):
    """What a warning is about: reports count warnings by kind."""

    AVAILABILITY = "availability"  # a word that does not say whether there is stock
    UNPUBLISHED = "unpublished"  # a draft, or a product that the platform hides
    PRICE = "price"  # not a price, or one that cannot be stored
    DECIMAL = "decimal"  # a price such as 1.299, decided from the whole column
    SKU = "sku"  # one that a spreadsheet has probably changed
    VALUE = "value"  # another field that cannot be stored
    ATTRIBUTE = "attribute"
    IMAGE = "image"  # a path or address that gives no image
    NO_IMAGE = "no-image"  # no image is named
    TEXT = "text"  # encodings and quotes
    PRUNE = "prune"  # what was to be removed and was not
    DUPLICATE = "duplicate"  # rows of one sku that could not be merged
    OTHER = "other"


class RowWarning(str):
    """What was corrected or left out in a row. A plain string is a warning of the kind `other`."""

    kind: WarningKind
    __slots__ = ("kind",)

    def __new__(cls, kind: WarningKind, text: str) -> Self:
        """Return a warning of a kind."""
        warning = super().__new__(cls, text)
        warning.kind = kind
        return warning


def kind_of(warning: str) -> WarningKind:
    """Return the kind of a warning."""
    return warning.kind if isinstance(warning, RowWarning) else WarningKind.OTHER


@dataclass(kw_only=True, slots=True)  # not frozen: that takes three times as long for each row
class ImageFile:
    """An image that a source has found: its size and time are known, its bytes are not yet read."""

    uri: str | None  # where it can stay; None: it must be copied out of the source
    size: int  # bytes
    mtime_ns: int
    read: Callable[[int], bytes]
    """Takes the largest number of bytes allowed; raises an ImageError."""
    held: int = 0  # bytes of memory that this object itself takes


@dataclass(kw_only=True, slots=True)  # not frozen, as above
class FeedRow:
    """One product of a feed, with fields for `products.parse`."""

    line: int  # in the file, from 1
    sku: str
    fields: Mapping[str, Any]
    image: ImageFile | None = None  # None: there is none, or `fields` hold a remote image_uri
    warnings: tuple[str, ...] = ()  # what was corrected or left out
    more_images: tuple[str, ...] = ()  # paths and addresses of further images, as the feed has them
    further: tuple[ImageFile | str, ...] | None = None
    """Those of them that were found, addresses as text; None: the feed names one image a row."""
    is_checked: bool = False  # the fields are as `products.parse` returns them, the sku too


@dataclass(frozen=True)
class Remark:
    """What is wrong in one line of the feed."""

    line: int
    sku: str | None
    reason: str
    kind: WarningKind | None = None  # of a warning; a reject has none
    is_of_file: bool = False  # it is about all lines; `line` is then the last one


class Reject(Remark):
    """A line that gives no product."""


class NoProduct(Reject):
    """A line that holds no product, such as a remark or totals; nothing of it is missing."""


@dataclass(frozen=True)
class CutOff:
    """Why a feed may have ended early."""

    reason: str
    is_certain: bool  # something is missing; otherwise the last line only lacks its end


@dataclass(frozen=True)
class Description:
    """How a source is read: what it is, and which of its columns is which of our fields."""

    title: str
    columns: Mapping[str, str] = field(default_factory=dict)  # our field -> the shop's column
    attributes: Sequence[str] = ()  # the columns that are kept as attributes
    is_any_shops: bool = False  # a plain table: as far as is known, each row is a product
    remarks: Sequence[RowWarning] = ()  # on how it is read


class Source(Protocol):
    """One feed, open for reading; it can be read more than once."""

    def skus(self) -> Iterator[tuple[int, str]]:
        """Yield line and sku of every row, in order; does not look at images, so it is fast."""
        ...

    def read(self) -> Iterator[FeedRow | Reject]:
        """Yield every row, in order."""
        ...

    def describe(self) -> Description:
        """Return how it is read."""
        ...

    def cut_off(self) -> CutOff | None:
        """Return why the feed may have ended early; to be asked after it was read."""
        ...

    def close(self) -> None:
        """Close the files behind it."""
        ...
