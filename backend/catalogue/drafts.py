"""What a product may hold: one check for REST and import."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from backend.errors import InvalidProduct
from backend.images import store

SKU: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
"""What a whole sku must match; leading zeros count."""

CATEGORICAL: Final = (
    *("gender", "master_category", "sub_category", "article_type"),
    *("base_colour", "season", "usage"),
)
FIELDS: Final = (
    *("display_name", "gender", "master_category", "sub_category", "article_type", "base_colour"),
    *("season", "year", "usage", "price", "in_stock", "attributes", "image_uri"),
)
"""The fields of a product that a shop may write, beside its sku."""

LONGEST_NAME: Final = 2_000
LONGEST_CATEGORY: Final = 255  # characters
LONGEST_URI: Final = 2_048
LONGEST_KEY: Final = 128
MOST_ATTRIBUTES: Final = 200
LARGEST_ATTRIBUTES: Final = 32_768  # bytes of JSON
YEARS: Final = range(1900, 2101)
DEAREST: Final = 9_999_999_999.99  # what NUMERIC(12, 2) holds
SCHEMES: Final = ("https", "http", "s3", "gs", "store", "file")
UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
"""What PostgreSQL cannot hold in a text, although JSON and Python can."""

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class ImageRef:
    """Where a product's image lies, and what is known of its content.

    Size and time are those of the file when its digest was taken. A reference without a size has
    not been checked: nobody has looked at what it points to.
    """

    uri: str | None
    digest: str | None = None  # sha256 of the bytes, in hex
    bytes: int | None = None
    mtime_ns: int | None = None


NO_IMAGE: Final = ImageRef(uri=None)
"""Removes a product's image; a draft whose image is None leaves it as it is."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A product as a client or feed wants it: checked and normalised, not yet compared."""

    sku: str
    values: Mapping[str, Any]  # the fields that were given, without image_uri
    image: ImageRef | None = None


def parse(raw: Mapping[str, Any]) -> Draft:
    """Check a product's sku and fields, and normalise them; fields not given stay absent.

    Text is stripped. Empty text is None, and None clears a field, an attribute, or all attributes.
    Raises InvalidProduct; `context["errors"]` lists every wrong field
    with its `reason` and, for an unknown one, what is `allowed`.
    """
    values: dict[str, Any] = {}
    errors: list[dict[str, Any]] = []
    for field, value in {"sku": None, **raw}.items():
        if field not in _CHECKS:
            allowed = ["sku", *FIELDS]
            errors.append({"field": field, "reason": "there is no such field", "allowed": allowed})
            continue
        try:
            values[field] = _CHECKS[field](value)
        except ValueError as wrong:
            errors.append({"field": field, "reason": str(wrong)})
    if errors:
        reasons = "; ".join(f"{error['field']}: {error['reason']}" for error in errors)
        raise InvalidProduct(reasons, errors=errors)
    return Draft(sku=values.pop("sku"), image=values.pop("image_uri", None), values=values)


# --- one check for each field: the normalised value, or ValueError with the reason ---------


def _sku(value: Any) -> str:
    if not isinstance(value, str) or not SKU.fullmatch(value):
        raise ValueError("must be a string of 1 to 128 of A-Z a-z 0-9 . _ : -")
    return value


def _text(value: Any, *, longest: int) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError("must be a string or null")
    _storable(value)
    value = value.strip()
    if len(value) > longest:
        raise ValueError(f"has {len(value)} characters; at most {longest} are allowed")
    return value or None


def _storable(text: str) -> None:
    if UNSTORABLE.search(text):
        raise ValueError("holds a NUL, or half of a surrogate pair, which is no character")


def _year(value: Any) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("must be a whole number or null")
    if value not in YEARS:
        raise ValueError(f"must lie between {YEARS[0]} and {YEARS[-1]}")
    return value


def _price(value: Any) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError("must be a number or null")
    if not 0 <= value <= DEAREST:  # false for NaN too
        raise ValueError(f"must lie between 0 and {DEAREST:.2f}")
    return round(float(value), 2)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _attributes(value: Any) -> dict[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise ValueError("must be an object")
    if len(value) > MOST_ATTRIBUTES:
        raise ValueError(f"has {len(value)} keys; at most {MOST_ATTRIBUTES} are allowed")
    for key, item in value.items():
        _attribute(key, item)
    if len(json.dumps(value)) > LARGEST_ATTRIBUTES:
        raise ValueError(f"takes more than {LARGEST_ATTRIBUTES} bytes as JSON")
    return dict(value)


def _attribute(key: Any, value: Any) -> None:
    if not isinstance(key, str) or not 1 <= len(key) <= LONGEST_KEY:
        raise ValueError(f"a key must be a string of 1 to {LONGEST_KEY} characters")
    _storable(key)
    if value is None:
        return
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, str | int | float):
            raise ValueError(
                f"{key} must be a string, number, boolean, null or a list of the three"
            )
        if isinstance(item, str):
            _storable(item)
        elif isinstance(item, float) and not math.isfinite(item):
            raise ValueError(f"{key} must be a finite number")
        elif isinstance(item, int) and not -(2**63) <= item < 2**63:
            raise ValueError(f"{key} is a whole number of more than 64 bits")


def _image_uri(value: Any) -> ImageRef:
    uri = _text(value, longest=LONGEST_URI)
    if uri is None:
        return NO_IMAGE
    scheme, separator, rest = uri.partition("://")
    if not separator or not rest or scheme not in SCHEMES:
        raise ValueError("must be a URI that begins with https://, http://, s3:// or gs://")
    if scheme != store.SCHEME:
        return ImageRef(uri=uri)
    if not _DIGEST.fullmatch(rest):
        raise ValueError("store:// is followed by a sha256 in hex")
    return ImageRef(uri=uri, digest=rest)


_category = partial(_text, longest=LONGEST_CATEGORY)
_CHECKS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "sku": _sku,
    "display_name": partial(_text, longest=LONGEST_NAME),
    **dict.fromkeys(CATEGORICAL, _category),
    "year": _year,
    "price": _price,
    "in_stock": _flag,
    "attributes": _attributes,
    "image_uri": _image_uri,
}
