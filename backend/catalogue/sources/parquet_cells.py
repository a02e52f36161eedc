"""The cells of a Parquet column as Python values; one that cannot be read is left out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

from backend.catalogue.sources.wrong_cells import WrongCell

LARGEST_INT: Final = 2**63 - 1  # of the databases and of most JSON readers


def cells_of(column: Any) -> list[Any]:
    """Return the values of an Arrow array: text, numbers, flags, dates, bytes, lists, mappings.

    Lists lose their empty items, a map becomes a mapping, a whole number of more than 63 bits a
    text. What is no value (an infinity, a broken text) becomes a WrongCell.
    """
    try:
        found = _in_microseconds(column).to_pylist()
    except (ValueError, OverflowError):  # one of them; UnicodeDecodeError is a ValueError too
        found = list(_one_by_one(column))
    return [_simple(value) for value in found]


def _in_microseconds(column: Any) -> Any:
    """Shorten times in nanoseconds, for which Python has no type."""
    import pyarrow as pa  # noqa: PLC0415 - it is an extra
    from pyarrow import types  # noqa: PLC0415

    kind = column.type
    if types.is_timestamp(kind) and kind.unit == "ns":
        return column.cast(pa.timestamp("us", kind.tz), safe=False)
    if types.is_duration(kind) and kind.unit == "ns":
        return column.cast(pa.duration("us"), safe=False)
    if types.is_time64(kind) and kind.unit == "ns":
        return column.cast(pa.time64("us"), safe=False)
    return column


def _one_by_one(column: Any) -> Iterator[Any]:
    for cell in column:
        try:
            yield cell.as_py()
        except (ValueError, OverflowError) as error:
            yield WrongCell(f"the cell cannot be read: {str(error).splitlines()[0]}")


def text_of(data: bytes) -> str | None:
    """Return bytes that are text, as old tools write strings into Parquet; None for others."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return text if all(letter.isprintable() or letter in "\t\r\n" for letter in text) else None


def _simple(value: Any) -> Any:
    if isinstance(value, float) and math.isinf(value):
        return WrongCell("an infinity is no value")
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > LARGEST_INT:
        return str(value)
    if isinstance(value, list):
        return _simple_list(value)
    return value


def _simple_list(items: list[Any]) -> Any:
    if items and all(isinstance(item, tuple) and len(item) == 2 for item in items):
        return dict(items)  # a map
    simple = (_simple(item) for item in items if item is not None)
    return [item for item in simple if not isinstance(item, WrongCell)]
