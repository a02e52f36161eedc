"""A cell of any type as a text, and as an attribute can hold it."""

from __future__ import annotations

import json
import re
import string
from decimal import Decimal
from typing import Any, Final

_INVISIBLE: Final = f"{string.whitespace}\u00a0\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
"""What copying from a page or a document leaves at the ends of a value, besides white space."""
_SENTENCE: Final = re.compile(r"[.!?](?=\s)|[。！？]|\n")  # noqa: RUF001 - Japanese


def as_text(value: Any) -> str:
    """Return a cell of any type as stripped text, as a CSV would hold it; None and NaN are empty.

    12.0 becomes 12: a column of whole numbers with gaps is often exported as floats.
    """
    if isinstance(value, str):  # as `_bare`, written out: an import does this several times a row
        text = value.strip()
        return text if text.isascii() and text[:1] != "=" else _bare(text)
    if value is None or value != value:  # noqa: PLR0124 - NaN alone differs from itself
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, list | dict):
        return json.dumps(value, default=str, ensure_ascii=False)
    return str(value)


def _bare(text: str) -> str:
    """Strip a text, and the form `="00123"`, which keeps a spreadsheet from changing it."""
    text = text.strip()
    if not text.isascii():
        text = text.strip(_INVISIBLE)
    return text[2:-1] if text.startswith('="') and text.endswith('"') and len(text) > 2 else text


def open_value(value: Any) -> Any:
    """Return a cell as an attribute can hold it; numbers, flags and lists keep their types."""
    if isinstance(value, str):
        return _bare(value) or None
    if isinstance(value, list) and all(isinstance(item, str | int | float) for item in value):
        return value or None
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bool | int | float) and value == value:  # noqa: PLR0124 - not NaN
        return value
    if isinstance(value, bytes):
        return None
    return as_text(value) or None


def first_sentence(text: str, longest: int) -> str:
    """Return a text, or its first sentence if it is longer, and of that the first words."""
    if len(text) <= longest:
        return text
    end = _SENTENCE.search(text)
    sentence = text[: end.end()].strip() if end else text
    if len(sentence) <= longest:
        return sentence
    return sentence[:longest].rpartition(" ")[0] or sentence[:longest]
