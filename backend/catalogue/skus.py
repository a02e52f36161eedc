"""What a sku may be. Imports, REST paths and bodies, and the command line all ask here."""

from __future__ import annotations

import re
import unicodedata
from typing import Any, Final

LONGEST: Final = 128  # characters, after normalisation
RULE: Final = (
    f"must be a string of 1 to {LONGEST} printable characters, without white space at its ends, "
    "and not . or .."
)
_CONTROLS: Final = r"\u0000-\u001f\u007f-\u009f"
PATTERN: Final = rf"^(?!\.{{1,2}}$)[^\s{_CONTROLS}]([^{_CONTROLS}]*[^\s{_CONTROLS}])?$"
"""Nearly the same as a regular expression of ECMAScript, for the OpenAPI document."""

SCHEMA: Final[dict[str, Any]] = {
    "type": "string",
    "minLength": 1,
    "maxLength": LONGEST,
    "pattern": PATTERN,
}

_PLAIN: Final = re.compile(r"[A-Za-z0-9._:-]{3,128}")
_UNPRINTABLE: Final = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"}  # categories of Unicode
_UNDECODED: Final = "\N{REPLACEMENT CHARACTER}"


def normalise(sku: str) -> str:
    """Return a sku in Unicode's composed form (NFC), in which it is stored and compared."""
    return sku if sku.isascii() else unicodedata.normalize("NFC", sku)


def is_plain(text: str) -> bool:
    """Tell whether a text is a sku such as most are: ASCII, without white space."""
    return _PLAIN.fullmatch(text) is not None


def is_sku(text: str) -> bool:
    """Tell whether a text that was normalised can be the sku of a product.

    The character that stands for undecodable bytes is refused: two skus could become equal.
    """
    if _PLAIN.fullmatch(text):
        return True
    return (
        0 < len(text) <= LONGEST
        and text not in (".", "..")
        and text == text.strip()
        and _UNDECODED not in text
        and not any(unicodedata.category(character) in _UNPRINTABLE for character in text)
    )


def check_sku(value: object) -> str:
    """Return a sku, normalised. Raises ValueError with the rule."""
    if not isinstance(value, str) or not is_sku(sku := normalise(value)):
        raise ValueError(RULE)
    return sku
