"""The payload of a point: the fields by which queries are filtered."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from backend.catalogue import filter_sql
from backend.database.models import Product
from backend.filters import FieldType
from backend.filters.spellings import FLOATS, float_token
from backend.vectors import SLOT

NOT_INDEXED: Final = ("sku", "display_name")
"""Columns that lists can be filtered by in SQL alone."""
COLUMNS: Final[dict[str, FieldType]] = {
    name: kind for name, kind in filter_sql.COLUMNS.items() if name not in NOT_INDEXED
}
"""The product columns that are indexed payload fields."""


def schema(facets: Sequence[str] = ()) -> dict[str, FieldType]:
    """Return the indexed fields: the columns, and the attributes that are declared facets."""
    declared: dict[str, FieldType] = {f"attributes.{name}": "keyword" for name in facets}
    return COLUMNS | declared


def payload(product: Product, *, slot: int = 0) -> dict[str, Any]:
    """Return the payload of a product's point; attributes that the product lacks are left out.

    `slot` is 0 for its first point. The others are marked, so that they are not counted twice.
    """
    columns = {name: getattr(product, name) for name in ("sku", *COLUMNS)}
    columns["attributes"] = product.attributes
    columns[SLOT] = slot or None
    columns[FLOATS] = _floats(product.attributes or {}) or None
    return {name: value for name, value in columns.items() if value is not None}


def _floats(attributes: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the floats of the attributes, as the texts that a filter with many numbers needs."""
    listed = {
        name: value if isinstance(value, list) else [value] for name, value in attributes.items()
    }
    found = {
        name: [float_token(value) for value in values if isinstance(value, float)]
        for name, values in listed.items()
    }
    return {name: tokens for name, tokens in found.items() if tokens}


def payload_digest(payload: Mapping[str, Any]) -> bytes:
    """Return a digest of 16 bytes that does not depend on the order of the members."""
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
