"""Answers that say an error, in place of products."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

_SAY: Final = ("errors", "error", "message")
_BESIDE: Final = frozenset(
    ("code", "status", "statusCode", "error_description", "extensions", "data", "detail")
)
"""The other names in such an answer; a product has further ones."""
_TEXTS: Final = ("message", "error_description", "detail", "errors", "error")
LONGEST: Final = 200  # characters


def said_error(record: Mapping[str, Any]) -> str | None:
    """Return the text of an error answer, LONGEST characters at most; None if it is none."""
    if not record.keys() & set(_SAY) or not record.keys() <= {*_SAY, *_BESIDE}:
        return None
    value: Any = record
    while isinstance(value, Mapping | list):
        if isinstance(value, list):
            value = next(iter(value), "")
        else:
            value = next((value[name] for name in _TEXTS if value.get(name)), json.dumps(value))
    return str(value)[:LONGEST]
