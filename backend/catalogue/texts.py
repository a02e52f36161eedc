"""Texts of a product, as every database can hold them."""

from __future__ import annotations

import html
import re
from typing import Any, Final

UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
"""What PostgreSQL cannot hold in a text, although JSON and Python can."""

_ENTITY: Final = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")


_INLINE: Final = re.compile(
    r"</?(?:a|abbr|b|big|em|font|i|mark|s|small|span|strong|sub|sup|u)(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
_BLOCK: Final = re.compile(
    r"</?(?:br|center|div|h[1-6]|hr|img|li|ol|p|table|tbody|td|tr|ul)(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
_TWICE: Final = re.compile(r"&amp;(?=#?[A-Za-z0-9]{1,32};)")


def without_markup(text: str) -> str:
    """Return what a page shows of a text: without HTML's tags, with characters for its references.

    References that were encoded twice (`&amp;eacute;`) are decoded twice. Other words in angle
    brackets stay, as does a `<` alone.
    """
    if "<" in text:
        bare = _BLOCK.sub(" ", _INLINE.sub("", text))
        text = text if bare == text else " ".join(bare.split())
    return without_entities(_TWICE.sub("&", text)) if "&" in text else text


def without_entities(text: str) -> str:
    """Return a text with its characters in place of HTML's references, such as `&amp;`.

    A reference without its `;` stays, and so does one that names nothing: `R&D`, `AT&T`.
    """
    return _ENTITY.sub(lambda it: html.unescape(it[0]), text) if "&" in text else text


def is_storable(text: str) -> bool:
    """Tell whether every database can hold a text."""
    return "\0" not in text if text.isascii() else UNSTORABLE.search(text) is None


def storable(text: str) -> str:
    """Return a text that every database can hold; raises ValueError for any other."""
    if not is_storable(text):
        raise ValueError("holds a NUL, or half of a surrogate pair, which is no character")
    return text


def normalise_text(value: Any) -> Any:
    """Strip a text; one that is empty then clears the field."""
    return storable(value).strip() or None if isinstance(value, str) else value
