"""JSON Lines: one JSON object a line. Nested values become attributes as JSON text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from backend.catalogue.sources.bulk_lines import with_children
from backend.catalogue.sources.csv_lines import LONGEST_LINE
from backend.catalogue.sources.csv_records import open_csv, text_warnings
from backend.catalogue.sources.feed import Reject
from backend.catalogue.sources.loose_json import decoded
from backend.catalogue.sources.named_records import NamedRecord, NamedRecords

_BETWEEN: Final = re.compile(r"\}[\s\x1e]*\{")
_SPACE: Final = re.compile(r"[\s\x1e]*")


class JsonLines(NamedRecords):
    """A file of JSON objects, one a line, and the images that they name."""

    form = "JSON Lines"
    _has_variants = True
    _nothing = (
        "there is no line with a JSON object; an array has to be written as one object a line"
    )

    def _parse(self, stream: BinaryIO) -> Iterator[NamedRecord | Reject]:
        yield from with_children(self._lines(stream))

    def _lines(self, stream: BinaryIO) -> Iterator[NamedRecord | Reject]:
        lines = open_csv(stream, encoding=self._mapping.encoding)
        is_broken = False
        for text in lines:
            taken = lines.taken.pop()
            if not text.strip():
                continue
            for part in _objects(text):
                values, wrong = _object(part)
                is_broken = values is None
                if values is None:
                    yield Reject(taken.number, None, wrong)
                    continue
                noted = text_warnings((*lines.notes, *taken.warnings))
                yield NamedRecord(taken.number, values, noted)
                lines.notes = ()
        lines.is_closed = not is_broken  # an object ends with its brace
        self._cut_off = lines.cut_off(is_broken=is_broken)


def _objects(text: str) -> list[str]:
    """Return the texts of the objects in a line: mostly one; `}{` may stand between two.

    RS before an object (RFC 7464) is left out. A line of anything else stays whole.
    """
    text = text.strip("\x1e \t\r\n")
    if not _BETWEEN.search(text):
        return [text]
    decoder, parts, start = json.JSONDecoder(), [], 0
    try:
        while start < len(text):
            _, end = decoder.raw_decode(text, start)
            parts.append(text[start:end])
            between = _SPACE.match(text, end)
            start = between.end() if between else end
    except (ValueError, RecursionError):
        return [text]
    return parts


def _object(text: str) -> tuple[dict[str, Any] | None, str]:
    """Return a line's object, or None and what is wrong."""
    if len(text.encode(errors="replace")) >= LONGEST_LINE:
        return None, f"the line is longer than {LONGEST_LINE:,} bytes"
    try:
        loaded = json.loads(text)
    except (ValueError, RecursionError):
        try:
            loaded = decoded(text.rstrip().removesuffix(","))
        except ValueError as error:
            return None, f"not a JSON object: {error}"
    if not isinstance(loaded, dict):
        return None, "not a JSON object"
    return {name.strip(): value for name, value in loaded.items() if name.strip()}, ""
