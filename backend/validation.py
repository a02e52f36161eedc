"""What is wrong with a value that pydantic refuses, in words for whoever has sent it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_TIME: Final = "must be a time with its date, such as 2026-11-01T08:30:00Z"
_REASONS: Final = {
    "missing": "must be given",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "string_unicode": "holds half of a surrogate pair, which is no character",
    **dict.fromkeys(("datetime_type", "datetime_parsing", "datetime_from_date_parsing"), _TIME),
}
_COUNTED: Final = re.compile(r"(?P<count>must have at (?:least|most) \d+) item(?P<end>s?) after .*")
"""What pydantic says of the length of a value that another check has read first."""


def reason_of(error: ErrorDetails) -> str:
    """Describe pydantic's error without the field's name, such as "must be a valid integer"."""
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])  # a ValueError of ours
    _, _, allowed = error["msg"].partition(" should ")
    found = _REASONS.get(error["type"]) or (f"must {allowed}" if allowed else error["msg"])
    what = "character" if isinstance(error["input"], str) else "item"
    return _COUNTED.sub(rf"\g<count> {what}\g<end>", found)


def unknown_field(error: ErrorDetails) -> str | None:
    """Return the name for which a pydantic model has no field; None for any other error."""
    if not error["loc"]:  # the name holds half of a surrogate pair, which no location can
        return str(error["input"])
    return str(error["loc"][0]) if error["type"] == "extra_forbidden" else None
