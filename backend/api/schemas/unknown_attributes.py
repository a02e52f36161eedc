"""What the `meta` of lists says of attributes that no product has."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from backend.api.schemas.document import Document

UNKNOWN: Final = (
    "attributes of the filter that no product has; in a full list, those of `not` alone"
)
PAGE_META: Final = "left out where there is nothing to say"


class UnknownAttribute(Document):
    """An attribute of the filter that no product has."""

    attribute: str
    nearest: list[str] = Field(description="attributes that are written much like it, 3 at most")


class PageMeta(Document):
    """What is said of a page."""

    unknown_attributes: list[UnknownAttribute] | None = Field(None, description=UNKNOWN)
