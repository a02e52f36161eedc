"""What a shop may write as open attributes of a product: names, values, and how much of it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from backend.catalogue.texts import is_storable, storable
from backend.filters import Scalar

LONGEST_KEY: Final = 128  # characters
MOST_ATTRIBUTES: Final = 200
LARGEST_ATTRIBUTES: Final = 32_768  # bytes of JSON in UTF-8

Attributes: TypeAlias = dict[str, Scalar | list[Scalar] | None]


def check_attributes(value: Any) -> Any:
    """Return attributes that can be stored. Raises ValueError with the reason for others."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise ValueError("must be an object")
    if (count := len(_not_empty(value))) > MOST_ATTRIBUTES:
        raise ValueError(f"has {count} keys; at most {MOST_ATTRIBUTES} are allowed")
    for key, item in value.items():
        _check_attribute(key, item)
    if _size(_not_empty(value)) > LARGEST_ATTRIBUTES:
        raise ValueError(f"takes more than {LARGEST_ATTRIBUTES} bytes as JSON")
    return dict(value)


def _not_empty(attributes: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return the attributes that are stored: None only drops one, and counts for no limit."""
    return {key: value for key, value in attributes.items() if value is not None}


def _size(value: Any) -> int:
    """Return how many bytes a value takes as JSON in UTF-8."""
    return len(json.dumps(value, ensure_ascii=False).encode())


def sift_attributes(attributes: Mapping[Any, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the attributes that can be stored, and the reason for each that cannot.

    One that cannot is None in the first result, so that it drops what was stored under its name.
    If all together are too large, the largest are left out.
    """
    kept: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    for key, value in attributes.items():
        try:
            _check_attribute(key, value)
        except ValueError as wrong:
            reasons[str(key)] = str(wrong).removeprefix(f"{key} ")
        else:
            kept[key] = value
    for key in list(_not_empty(kept))[MOST_ATTRIBUTES:]:
        reasons[key] = f"only {MOST_ATTRIBUTES} attributes are kept"
    reasons |= _too_large({key: it for key, it in kept.items() if key not in reasons})
    return kept | dict.fromkeys(filter(_is_key, reasons)), reasons


def _too_large(attributes: Mapping[str, Any]) -> dict[str, str]:
    """Return the reason for each attribute without which the rest is small enough."""
    left = _not_empty(attributes)
    if _size(left) <= LARGEST_ATTRIBUTES:
        return {}
    sizes = {key: _size({key: value}) for key, value in left.items()}
    total, reasons = _size(left), {}
    for key in sorted(sizes, key=lambda key: -sizes[key]):
        if total <= LARGEST_ATTRIBUTES:
            break
        total -= sizes[key]
        reasons[key] = (
            f"{sizes[key]:,} bytes; all attributes may have {LARGEST_ATTRIBUTES:,} together"
        )
    return reasons


def _is_key(key: Any) -> bool:
    return isinstance(key, str) and 1 <= len(key) <= LONGEST_KEY and is_storable(key)


def _check_attribute(key: Any, value: Any) -> None:
    if not isinstance(key, str) or not 1 <= len(key) <= LONGEST_KEY:
        raise ValueError(f"a key must be a string of 1 to {LONGEST_KEY} characters")
    storable(key)
    if value is None:
        return
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, str | int | float):
            raise ValueError(
                f"{key} must be a string, number, boolean, null or a list of the three"
            )
        if isinstance(item, str):
            storable(item)
        elif isinstance(item, float) and not math.isfinite(item):
            raise ValueError(f"{key} must be a finite number")
        elif isinstance(item, int) and not -(2**63) <= item < 2**63:
            raise ValueError(f"{key} is a whole number of more than 64 bits")
