"""Numbers of attributes, as shops write them."""

from __future__ import annotations

import re
from typing import Final

_BLANKS: Final = re.compile(r"[\s\u00a0\u202f'\u2019]")
_THOUSANDS: Final = re.compile(r"[+-]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?")
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,15})?")


def read_number(text: str, *, decimal: str | None = None) -> int | float | None:
    """Return a text as a number; None if it is no number.

    `decimal` separates decimals where the operator has named it. Without it, a point does, and so
    does one comma that is not followed by exactly three digits: `1,299` is a thousand.
    """
    bare = _BLANKS.sub("", text)
    if decimal == ",":
        bare = bare.replace(".", "").replace(",", ".")
    elif decimal == "." or _THOUSANDS.fullmatch(bare):
        bare = bare.replace(",", "")
    else:
        bare = bare.replace(",", ".")
    if not _NUMBER.fullmatch(bare):
        return None
    return float(bare) if "." in bare else int(bare)
