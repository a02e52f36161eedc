"""What the pages of the gallery ask the API's functions, and the addresses that say it again.

The parameters in the address of a page are those of the API, so a page can be shared, and what it
shows can be asked of the API. Those of the pages' own are the exception: `q`, `by` and `as`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from flask import request, url_for
from werkzeug.datastructures import MultiDict

from backend.api.schemas.query import QueryReader
from backend.events.record import MOST_TEXT

SHOWN: Final = (
    "display_name",
    "brand",
    "gender",
    "article_type",
    "sub_category",
    "base_colour",
    "season",
    "usage",
    "year",
    "price",
    "currency",
    "in_stock",
    "group_id",
    "images",
    "state",
    "reason",
)
"""The members of products that lists show."""

SHOPPER: Final = "as"
"""The parameter that names the shopper as whom somebody looks at the pages."""

NONE: Final = "none"
"""The value by which a form takes back a default of the page."""


def given(*own: str, defaults: Mapping[str, str] | None = None) -> QueryReader:
    """Return the reader of this request's parameters for the API.

    Parameters of the page, `own`, and empty ones of forms are left out. `defaults` hold where the
    address says nothing.
    """
    left = {SHOPPER, *own}
    pairs = [(k, v) for k, v in request.args.items(multi=True) if k not in left and v.strip()]
    named = {name for name, _ in pairs}
    pairs += [(name, value) for name, value in (defaults or {}).items() if name not in named]
    return QueryReader(MultiDict([(k, v) for k, v in pairs if v != NONE]))


def shopper() -> str | None:
    """Return the shopper as whom this request is made."""
    return request.args.get(SHOPPER, "").strip()[:MOST_TEXT] or None


def page_url(endpoint: str, **values: Any) -> str:
    """Return the address of a page for the same shopper."""
    held: dict[str, Any] = {**values, SHOPPER: shopper()}
    return url_for(endpoint, **held)


def same_url(*, without: Iterable[str] = (), also: Mapping[str, str] | None = None) -> str:
    """Return the address of this page without some parameters, and with others."""
    dropped = {"cursor", *without, *(also or {})}
    pairs = [(k, v) for k, v in request.args.items(multi=True) if k not in dropped and v.strip()]
    held: MultiDict[str, str] = MultiDict([*pairs, *(also or {}).items()])
    values: dict[str, Any] = {**held.to_dict(flat=False), **(request.view_args or {})}
    return url_for(request.endpoint or "", **values)


def escaped(value: object) -> str:
    """Return a value of a field as a filter of the query string takes it."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text.replace("\\", "\\\\").replace(",", "\\,")
