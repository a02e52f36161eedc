"""Texts of a product, as every database can hold them."""

from __future__ import annotations

import re
from typing import Any, Final

UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
"""What PostgreSQL cannot hold in a text, although JSON and Python can."""


def storable(text: str) -> str:
    """Return a text that every database can hold; raises ValueError for any other."""
    if UNSTORABLE.search(text):
        raise ValueError("holds a NUL, or half of a surrogate pair, which is no character")
    return text


def normalise_text(value: Any) -> Any:
    """Strip a text; one that is empty then clears the field."""
    return storable(value).strip() or None if isinstance(value, str) else value
